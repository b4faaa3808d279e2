"""What the README of ltq 0.4.0 shows works as it stands there; App and Scheduler aside.

The code below is that README's; only the server's address is another one.
"""

import importlib
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import ltq
from ltq.broker import Broker
from tests.eventually import eventually
from tests.examples.programs import PATIENCE, Program, StartProgram, open_programs

QUEUE = "emails:send_email"

IMPORTS = """
import asyncio
import ltq
"""

WORKER = """
worker = ltq.Worker("emails", broker_url="redis://localhost:6379")

@worker.task()
async def send_email(to: str, subject: str, body: str) -> None:
    # your async code here
    pass
"""

MAIN = """
async def main():
    # Enqueue a task
    await send_email.send("user@example.com", "Hello", "World")

    # Or enqueue multiple tasks
    for email in ["a@example.com", "b@example.com"]:
        await send_email.send(email, "Hi", "Message")

asyncio.run(main())
"""

OPTIONS = """
from datetime import timedelta

@worker.task(max_tries=3, max_age=timedelta(hours=1), max_rate="10/s")
async def send_email(to: str, subject: str, body: str) -> None:
    # your async code here
    pass
"""

MIDDLEWARES = """
from ltq.middleware import MaxTries, MaxAge, MaxRate, Sentry

worker = ltq.Worker(
    "emails",
    broker_url="redis://localhost:6379",
    middlewares=[
        MaxTries(),
        MaxAge(),
        MaxRate(),
        Sentry(dsn="https://..."),
    ],
)
"""

LOGGER = """
from contextlib import asynccontextmanager
from ltq.middleware import Middleware
from ltq.message import Message
from ltq.task import Task

class Logger(Middleware):
    @asynccontextmanager
    async def __call__(self, message: Message, task: Task):
        print(f"Processing {message.task_name}")
        yield
        print(f"Completed {message.task_name}")
"""

ANNOTATED_LOGGER = "from typing import AsyncIterator\n" + LOGGER.replace(
    "task: Task):", "task: Task) -> AsyncIterator[None]:"
)

REGISTER = """
worker.register_middleware(Sentry(dsn="https://..."))

# Insert at specific position (default is -1 for append)
worker.register_middleware(MyMiddleware(), pos=0)
"""

BARE_WORKER = WORKER.partition("@")[0]


class MyApp:
    """A user's `myapp.py`, and the commands that are run beside it."""

    def __init__(self, directory: Path, redis_url: str, start: StartProgram) -> None:
        self._directory = directory
        self._url = redis_url
        self._start = start

    def write(self, *parts: str) -> None:
        """Put the module together."""
        text = "".join(parts).replace("redis://localhost:6379", self._url)
        (self._directory / "myapp.py").write_text(text)

    def load(self, *parts: str) -> ModuleType:
        """Write it and import it here."""
        self.write(*parts)
        importlib.invalidate_caches()
        return importlib.import_module("myapp")

    async def python(self) -> None:
        """`python myapp.py`"""
        program = await self._start("myapp.py", cwd=self._directory)
        assert await program.ends() == 0, program.output

    async def run(self, *options: str) -> Program:
        """`ltq run myapp:worker`, not waited for."""
        command = ["-m", "ltq", "run", "myapp:worker", *options]
        return await self._start(*command, cwd=self._directory)

    async def ltq(self, *arguments: str) -> str:
        """A command that ends by itself; what it printed."""
        command = ["-m", "ltq", *arguments, "--redis-url", self._url]
        program = await self._start(*command, cwd=self._directory)
        assert await program.ends() == 0, program.output
        return program.output

    async def is_drained(self) -> bool:
        """Whether nothing waits or runs."""
        async with Broker.from_url(self._url) as broker:
            (queue,) = await broker.stats([QUEUE])
        return queue.pending + queue.delayed + queue.working == 0


@pytest.fixture
async def myapp(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MyApp]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "myapp", raising=False)
    async with open_programs() as start:
        yield MyApp(tmp_path, redis_url, start)
    sys.modules.pop("myapp", None)


@pytest.fixture
def sentry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The DSNs that a `sentry_sdk` was given; in other processes it prints them."""
    (tmp_path / "sentry_sdk.py").write_text("def init(dsn): print(f'reporting to {dsn}')")
    seen: list[str] = []
    stub: Any = SimpleNamespace(init=lambda dsn: seen.append(dsn))
    monkeypatch.setitem(sys.modules, "sentry_sdk", stub)
    return seen


@pytest.mark.slow
class TestQuickStart:
    async def test_it_sends_and_a_worker_runs_what_was_sent(self, myapp: MyApp) -> None:
        myapp.write(IMPORTS, WORKER, MAIN)
        await myapp.python()
        assert await myapp.ltq("size", QUEUE) == "3\n"
        worker = await myapp.run("--concurrency", "100", "--log-level", "DEBUG")
        await eventually(myapp.is_drained, PATIENCE, "every email sent")
        assert await worker.stop() == 0, worker.output
        assert "Traceback" not in worker.output

    async def test_a_queue_can_be_cleared(self, myapp: MyApp) -> None:
        myapp.write(IMPORTS, WORKER, MAIN)
        await myapp.python()
        await myapp.ltq("clear", QUEUE)
        assert await myapp.ltq("size", QUEUE) == "0\n"


class TestOptions:
    async def test_they_are_kept_as_declared(self, myapp: MyApp) -> None:
        task = myapp.load(IMPORTS, BARE_WORKER, OPTIONS).send_email
        expected = {"max_tries": 3, "max_age": timedelta(hours=1), "max_rate": "10/s"}
        assert task.options == expected
        assert task.name == QUEUE

    async def test_a_worker_runs_a_task_that_has_them(self, myapp: MyApp) -> None:
        myapp.write(IMPORTS, BARE_WORKER, OPTIONS, MAIN)
        await myapp.python()
        worker = await myapp.run()
        await eventually(myapp.is_drained, PATIENCE, "every email sent")
        assert await worker.stop() == 0, worker.output


class TestMiddleware:
    async def test_a_stack_may_be_named(self, myapp: MyApp, sentry: list[str]) -> None:
        worker = myapp.load(IMPORTS, MIDDLEWARES, OPTIONS).worker
        assert _names(worker) == ["MaxTries", "MaxAge", "MaxRate", "Sentry"]
        assert sentry == ["https://..."]

    @pytest.mark.slow
    async def test_a_worker_with_that_stack_runs(self, myapp: MyApp, sentry: list[str]) -> None:
        myapp.write(IMPORTS, MIDDLEWARES, OPTIONS, MAIN)
        await myapp.python()
        worker = await myapp.run()
        await eventually(myapp.is_drained, PATIENCE, "every email sent")
        assert await worker.stop() == 0, worker.output
        assert "reporting to https://..." in worker.output

    async def test_more_may_be_registered(self, myapp: MyApp, sentry: list[str]) -> None:
        named = LOGGER.replace("Logger", "MyMiddleware")
        parts = [IMPORTS, WORKER, named, "from ltq.middleware import Sentry\n", REGISTER]
        worker = myapp.load(*parts).worker
        assert _names(worker) == ["MyMiddleware", "MaxTries", "MaxAge", "MaxRate", "Sentry"]

    @pytest.mark.parametrize("logger", [LOGGER, ANNOTATED_LOGGER], ids=["plain", "annotated"])
    async def test_one_of_your_own_wraps_each_run(self, myapp: MyApp, logger: str) -> None:
        register = "worker.register_middleware(Logger())\n"
        myapp.write(IMPORTS, WORKER, logger, register, MAIN)
        worker = await myapp.run()
        await worker.says(f"Completed {QUEUE}")
        await eventually(myapp.is_drained, PATIENCE, "every email sent")
        assert await worker.stop() == 0, worker.output
        assert worker.output.count(f"Processing {QUEUE}\n") == 3
        assert worker.output.count(f"Completed {QUEUE}\n") == 3


def _names(worker: ltq.Worker) -> list[str]:
    return [type(middleware).__name__ for middleware in worker.middlewares]
