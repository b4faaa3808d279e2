"""A process of one version that evaluates expressions which tests ask it for.

`python -m tests.rolling.console`, with the version on the path: it reads an expression a line, such
as `order.send(7)`, awaits it, and prints its value as a text in JSON, or the name of its error.
"""

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Self

import ltq


class Console:
    """Such a process, as tests see it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.rolling.console"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()  # the end of its input ends it

    def ask(self, expression: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()
        answer: str = json.loads(self._process.stdout.readline())
        return answer


async def main() -> None:
    jobs = importlib.import_module("shop.jobs")
    workers = [*jobs.app.workers, jobs.vault]
    for line in iter(sys.stdin.readline, ""):
        try:
            answer = str(await eval(line, vars(jobs)))
        except ltq.LtqError as error:
            answer = type(error).__name__
        for worker in workers:
            await worker.aclose()  # the broker is emptied between two tests
        print(json.dumps(answer), flush=True)  # noqa: T201  its answers


if __name__ == "__main__":
    asyncio.run(main())
