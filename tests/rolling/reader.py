"""A process that reads all results by the handles of its version: `python -m tests.rolling.reader`.

It leaves out the tasks that its version does not know.
"""

import asyncio
import importlib
from collections.abc import Iterator
from typing import Any

import ltq
from tests.rolling.record import Read, Sent, record

GROUP = 200
"""How many are read at once."""


def tasks_of(app: ltq.App) -> Iterator[tuple[str, ltq.Task[..., Any]]]:
    """The tasks of an app, by their names and former names."""
    for worker in app.workers:
        for name, task in worker.tasks.items():
            yield name, task
            for alias in task.options.get("aliases", ()):
                yield f"{worker.name}:{alias}", task


async def read(task: ltq.Task[..., Any], sent: Sent, version: str) -> Read:
    try:
        value = await task.handle(sent.id).result(timeout=1)
    except ltq.LtqError as error:
        return Read(sent.id, version, error=type(error).__name__)
    return Read(sent.id, version, repr(value))


async def main() -> None:
    jobs = importlib.import_module("shop.jobs")
    app: ltq.App = jobs.app
    tasks = dict(tasks_of(app))
    known = [sent for sent in record().read(Sent) if sent.task in tasks]
    for first in range(0, len(known), GROUP):
        group = known[first : first + GROUP]
        calls = [read(tasks[sent.task], sent, jobs.VERSION) for sent in group]
        record().write(await asyncio.gather(*calls))
    for worker in app.workers:
        await worker.aclose()


if __name__ == "__main__":
    asyncio.run(main())
