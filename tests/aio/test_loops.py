"""Where no event loop of asyncio runs, each call says what to use."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterable, Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any

import pytest

import ltq
from ltq import Task, Worker
from ltq._aio.at_once import run_at_once
from ltq.testing import Clock, use

URLS = ["redis://127.0.0.1:1", "memory://no-loop"]


async def first(items: AsyncIterable[object]) -> object:
    async for item in items:
        return item
    return None


CALLS: dict[str, Callable[[Worker, Task[[int], int]], Coroutine[Any, Any, object]]] = {
    "send": lambda _, task: task.send(1),
    "send_many": lambda _, task: task.send_many([task.message(1)]),
    "state": lambda _, task: task.handle("a").state(),
    "result": lambda _, task: task.handle("a").result(),
    "wait": lambda _, task: task.handle("a").wait(0),
    "cancel": lambda _, task: task.handle("a").cancel(),
    "watch": lambda _, task: first(task.handle("a").watch()),
    "gather": lambda _, task: ltq.gather(task.handle("a")),
    "as_completed": lambda _, task: first(ltq.as_completed([task.handle("a")])),
    "run": lambda worker, _: worker.run(),
    "async with": lambda worker, _: worker.__aenter__(),
    "stats": lambda worker, _: worker.broker.stats(["shop:echo"]),
    "scheduler": lambda worker, _: ltq.Scheduler(broker=worker.broker).run(),
    "clock": lambda *_: Clock().advance(1),
}


@pytest.fixture(params=URLS)
def worker(request: pytest.FixtureRequest) -> Worker:
    return Worker("shop", broker_url=request.param)


@pytest.fixture
def echo(worker: Worker) -> Task[[int], int]:
    @worker.task
    async def echo(number: int) -> int:
        return number

    return echo


@pytest.fixture
def in_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it look as if trio ran in this thread."""
    lowlevel = SimpleNamespace(current_task=object)
    monkeypatch.setitem(sys.modules, "trio", SimpleNamespace(lowlevel=lowlevel))


def step(call: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine as another library would, until it waits."""
    call.__await__().send(None)


@pytest.mark.parametrize("name", CALLS)
def test_without_one_a_call_names_what_works(
    worker: Worker, echo: Task[[int], int], name: str
) -> None:
    with pytest.raises(ltq.ConfigurationError, match=r"no running event loop.*send_sync") as raised:
        step(CALLS[name](worker, echo))
    assert isinstance(raised.value, RuntimeError)  # as asyncio's own


@pytest.mark.usefixtures("in_trio")
@pytest.mark.parametrize("name", CALLS)
def test_under_trio_it_names_trios_threads(
    worker: Worker, echo: Task[[int], int], name: str
) -> None:
    with pytest.raises(ltq.ConfigurationError, match=r"trio\.to_thread\.run_sync"):
        step(CALLS[name](worker, echo))


def test_trio_that_is_only_imported_does_not_count(
    worker: Worker, echo: Task[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def current_task() -> None:
        raise RuntimeError("must be called from async context")

    lowlevel = SimpleNamespace(current_task=current_task)
    monkeypatch.setitem(sys.modules, "trio", SimpleNamespace(lowlevel=lowlevel))
    with pytest.raises(ltq.ConfigurationError, match=r"no running event loop.*send_sync"):
        step(CALLS["send"](worker, echo))


@pytest.mark.usefixtures("in_trio")
def test_a_synchronous_call_does_not_block_trio(echo: Task[[int], int]) -> None:
    with pytest.raises(ltq.ConfigurationError, match=r"block trio.*to_thread"):
        echo.send_sync(1)


def test_a_box_under_test_says_so_as_well(worker: Worker, echo: Task[[int], int]) -> None:
    with use(worker) as box, pytest.raises(ltq.ConfigurationError, match="no running event loop"):
        step(box.drain())


class TestAtOnce:
    def test_it_returns_what_the_coroutine_returns(self) -> None:
        async def lets_others_run() -> int:
            await asyncio.sleep(0)
            return 5

        assert run_at_once(lets_others_run()) == 5

    def test_one_that_waits_is_ended_with_an_error(self) -> None:
        ended: list[bool] = []

        class Reply:
            def __await__(self) -> Generator[object, None, None]:
                yield self

        async def waits() -> None:
            try:
                await Reply()
            finally:
                ended.append(True)

        with pytest.raises(RuntimeError, match="which needs an event loop"):
            run_at_once(waits())
        assert ended


if importlib.util.find_spec("trio"):

    def test_trio_itself_gets_the_error_and_may_use_threads() -> None:
        trio = importlib.import_module("trio")
        worker = Worker("shop", broker_url="memory://in-trio")

        @worker.task
        async def echo(number: int) -> int:
            return number

        async def main() -> str:
            with pytest.raises(ltq.ConfigurationError, match="trio"):
                await echo.send(1)
            with pytest.raises(ltq.ConfigurationError, match="trio"):
                echo.send_sync(1)
            handle = await trio.to_thread.run_sync(echo.send_sync, 1)
            return str(handle.id)

        assert trio.run(main)
        ltq.close_sync()
