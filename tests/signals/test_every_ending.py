"""However a run ends, the handlers of the program are as before."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq.names import new_id

BOTH = [signal.SIGTERM, signal.SIGINT]

Runnable = ltq.Worker[Any] | ltq.App | ltq.Scheduler


def state() -> list[object]:
    """Who handles the signals, and what they wake up."""
    woken = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(woken)
    return [*(signal.getsignal(number) for number in BOTH), woken]


@pytest.fixture(params=["python", "loop", "none"])
async def handlers(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Handlers of the program, of each kind."""
    loop, before = asyncio.get_running_loop(), state()
    for number in BOTH:
        if request.param == "python":
            signal.signal(number, lambda *_: None)
        elif request.param == "loop":
            loop.add_signal_handler(number, lambda: None)
    yield
    for number, handler in zip(BOTH, before[:2], strict=True):
        if request.param == "loop":
            loop.remove_signal_handler(number)
        signal.signal(number, handler)  # type: ignore[arg-type]  # a list of different objects
    assert state() == before


def make(kind: str, lifespan: Any = None) -> Runnable:
    worker = ltq.Worker("endings", f"memory://{new_id()}", lifespan=lifespan)

    @worker.task
    async def work() -> None: ...

    if kind == "worker":
        return worker
    if kind == "scheduler":
        return ltq.Scheduler(broker=worker.broker)
    app = ltq.App()
    app.register_worker(worker)
    return app


async def stopped(kind: str) -> None:
    runnable = make(kind)
    running = asyncio.create_task(runnable.run())
    while not running.done():
        await asyncio.sleep(0)
        stopping = runnable.stop()
        if stopping is not None:
            await stopping


async def cancelled(kind: str) -> None:
    running = asyncio.create_task(make(kind).run())
    await asyncio.sleep(0)
    assert signal.getsignal(signal.SIGTERM) is not before_run[0]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def signalled(kind: str) -> None:
    running = asyncio.create_task(make(kind).run())
    await asyncio.sleep(0)
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(running, 10)


async def failed(kind: str) -> None:
    nothing: list[int] = []

    @asynccontextmanager
    async def lifespan(_: ltq.Worker[Any]) -> AsyncIterator[float]:
        yield 1 / len(nothing)

    if kind == "scheduler":
        scheduler = make(kind)
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(0)
        with pytest.raises(ltq.ConfigurationError, match="runs already"):
            await scheduler.run()
        running.cancel()
        await asyncio.wait([running])
        return
    with pytest.raises(ltq.LifespanError):
        await make(kind, lifespan).run()


async def in_a_thread(kind: str) -> None:
    async def run() -> None:
        running = asyncio.create_task(make(kind).run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

    await asyncio.to_thread(asyncio.run, run())


before_run: list[object] = []


@pytest.mark.parametrize("ending", [stopped, cancelled, signalled, failed, in_a_thread])
@pytest.mark.parametrize("kind", ["worker", "app", "scheduler"])
@pytest.mark.usefixtures("handlers")
async def test_the_handlers_are_as_before(
    kind: str, ending: Callable[[str], Awaitable[None]]
) -> None:
    before_run[:] = before = state()
    await ending(kind)
    assert state() == before


@pytest.mark.parametrize("kind", ["worker", "app", "scheduler"])
async def test_a_block_takes_no_signals(kind: str) -> None:
    before = state()
    async with make(kind):
        assert state() == before
    assert state() == before
