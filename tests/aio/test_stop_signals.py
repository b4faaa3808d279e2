"""Signals that stop what runs: told apart, passed on, and given back."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import FrameType
from typing import Any

import pytest

from ltq._aio import signals, wakeup
from ltq._aio.signals import SAME_SIGNAL, pass_stop_on, stop_on_signals, told_to_stop_at
from tests.eventually import eventually

Handlers = Callable[[signal.Signals, Any], object]

BOTH = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def _given_back() -> Iterator[None]:
    """Whatever a test does, signals belong to whom they belonged to before."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner may have left its own
    before = [signal.getsignal(number) for number in BOTH], wakeup_fd()
    yield
    assert ([signal.getsignal(number) for number in BOTH], wakeup_fd()) == before


@pytest.fixture
def handlers(_given_back: None) -> Iterator[Handlers]:
    """Sets handlers of the program, until the end of the test."""
    before = {number: signal.getsignal(number) for number in BOTH}
    yield signal.signal
    for number, handler in before.items():
        signal.signal(number, handler)


class Left(SystemExit):
    """What a program's handler raises."""


def wakeup_fd() -> int:
    now = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(now)
    return now


class Told:
    """What something was told: False to stop, True to stop now."""

    def __init__(self) -> None:
        self.calls: list[bool] = []

    def __call__(self, now: bool) -> None:
        self.calls.append(now)

    async def was(self, *calls: bool) -> None:
        await eventually(lambda: self.calls == [*calls], 2, f"{self.calls} are {calls}")


def forget_the_last() -> None:
    """Let the next signal be another one.

    Until nothing listens any more: a later test knows nothing of the signals of this one.
    """
    for name in ("last", "noticed"):
        setattr(signals._heard, name, time.monotonic() - SAME_SIGNAL)


@pytest.mark.parametrize("number", BOTH)
async def test_the_second_one_means_now(number: signal.Signals) -> None:
    told = Told()
    with stop_on_signals(told):
        signal.raise_signal(number)
        await told.was(False)
        forget_the_last()
        signal.raise_signal(number)
        assert told.calls == [False, True]  # at once
        forget_the_last()
        signal.raise_signal(number)
        assert told.calls == [False, True, True]


async def test_several_at_once_are_one() -> None:
    told = Told()
    with stop_on_signals(told):
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        await told.was(False)


async def test_a_second_one_is_heard_while_the_loop_is_blocked() -> None:
    told = Told()
    with stop_on_signals(told):
        signal.raise_signal(signal.SIGTERM)
        assert told_to_stop_at() is not None
        forget_the_last()
        signal.raise_signal(signal.SIGTERM)
        assert told.calls == [True]
        await told.was(True, False)
    assert told_to_stop_at() is None


class Noted(signals.OwnHandler):
    """Notes a signal while nothing listens."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.calls += 1


@pytest.mark.slow
async def test_one_is_told_or_noted_whichever_step_of_the_beginning_it_meets(
    handlers: Handlers,
) -> None:
    step = 0
    while True:
        step += 1
        told, noted = Told(), Noted()
        handlers(signal.SIGTERM, noted)
        with ExitStack() as stack:
            met = _with_signal_at(step, lambda: stack.enter_context(stop_on_signals(told)))  # noqa: B023  called at once
            if not met:
                break
            await eventually(lambda: told.calls or noted.calls, 2, f"told of it at step {step}")  # noqa: B023  likewise
    assert step > 20


@pytest.mark.slow
async def test_one_is_told_or_noted_whichever_step_of_the_end_it_meets(handlers: Handlers) -> None:
    step = 0
    while True:
        step += 1
        noted, block = Noted(), stop_on_signals(Told())
        handlers(signal.SIGTERM, noted)
        block.__enter__()
        if not _with_signal_at(step, lambda: block.__exit__(None, None, None)):  # noqa: B023  called at once
            break
        assert noted.calls == 1, f"at step {step}"
    assert step > 10


def _with_signal_at(step: int, call: Callable[[], object]) -> bool:
    """Call something; a signal meets it at this line that it runs. Returns False for too few."""
    lines, before = 0, sys.gettrace()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if frame.f_globals.get("__name__") not in (signals.__name__, wakeup.__name__):
            return None
        lines += event == "line"
        if event == "line" and lines == step:
            signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines >= step


@pytest.mark.skipif(
    sys.gettrace() is not None and sys.version_info < (3, 12),
    reason="a traced thread of Python 3.11 spins while a signal waits for the main thread",
)
async def test_signals_are_noticed_during_a_call_that_python_cannot_interrupt() -> None:
    told = Told()

    async def look() -> None:
        try:
            assert told_to_stop_at() is None
            os.kill(os.getpid(), signal.SIGTERM)
            await eventually(lambda: told_to_stop_at() is not None)
            assert told.calls == []
            forget_the_last()
            os.kill(os.getpid(), signal.SIGTERM)
            await eventually(lambda: told_to_stop_at() and told.calls == [True])
        finally:
            os.write(writes, b"done")

    reads, writes = os.pipe()
    with stop_on_signals(told):
        looking = asyncio.create_task(asyncio.to_thread(asyncio.run, look()))
        await asyncio.to_thread(lambda: None)  # the thread runs
        blocking_read(reads)
        await looking
    assert told.calls[0] is True
    for descriptor in (reads, writes):
        os.close(descriptor)


def blocking_read(descriptor: int) -> None:
    """Call the C library, again after each signal, without a step of Python in between."""
    signal.siginterrupt(signal.SIGTERM, False)
    ctypes.CDLL(None).read(descriptor, ctypes.create_string_buffer(8), 8)


async def test_a_signal_wakes_a_loop_that_waits() -> None:
    told, ended = Told(), asyncio.Event()

    def stop(now: bool) -> None:
        told(now)
        ended.set()

    with stop_on_signals(stop):
        thread = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM])
        thread.start()
        await asyncio.wait_for(ended.wait(), 5)
    thread.join()
    assert told.calls == [False]


async def test_all_blocks_are_told_each_for_itself() -> None:
    first, second = Told(), Told()
    with stop_on_signals(first):
        signal.raise_signal(signal.SIGTERM)
        await first.was(False)
        forget_the_last()
        with stop_on_signals(second):
            signal.raise_signal(signal.SIGTERM)
            await second.was(False)
    assert True in first.calls


async def test_blocks_may_end_in_any_order() -> None:
    first, second, told = ExitStack(), ExitStack(), Told()
    first.enter_context(stop_on_signals(Told()))
    second.enter_context(stop_on_signals(told))
    first.close()
    signal.raise_signal(signal.SIGTERM)
    await told.was(False)
    second.close()


async def test_an_early_one_is_told_only_while_nothing_else_listens() -> None:
    early, late = Told(), Told()
    with stop_on_signals(early, early=True):
        with stop_on_signals(late):
            signal.raise_signal(signal.SIGTERM)
            await late.was(False)
        assert early.calls == []
        forget_the_last()
        signal.raise_signal(signal.SIGTERM)
        await early.was(False)


async def test_what_a_supervisor_tells_does_not_count_as_a_signal() -> None:
    told = Told()
    assert not pass_stop_on(False)
    with stop_on_signals(told):
        assert pass_stop_on(False)
        assert told_to_stop_at() is not None
        signal.raise_signal(signal.SIGTERM)
        await told.was(False, False)
        assert pass_stop_on(True)
    assert told.calls == [False, False, True]


async def test_another_thread_gets_no_signals() -> None:
    def enter() -> bool:
        with stop_on_signals(Told()):
            return pass_stop_on(False)

    assert not await asyncio.to_thread(enter)


class TestOthers:
    """Handlers that the program itself has."""

    @pytest.mark.parametrize("number", BOTH)
    async def test_a_handler_of_the_loop_is_called_as_well_and_after_the_block(
        self, number: signal.Signals
    ) -> None:
        loop, told, heard = asyncio.get_running_loop(), Told(), Told()
        loop.add_signal_handler(number, heard, True)
        try:
            with stop_on_signals(told):
                signal.raise_signal(number)
                await told.was(False)
                await heard.was(True)
            signal.raise_signal(number)
            await heard.was(True, True)
        finally:
            loop.remove_signal_handler(number)
        assert told.calls == [False]

    @pytest.mark.parametrize("number", BOTH)
    async def test_a_handler_of_the_program_is_called_as_well_and_after_the_block(
        self, number: signal.Signals, handlers: Handlers
    ) -> None:
        told, heard = Told(), []
        handlers(number, lambda number, _: heard.append(number))
        with stop_on_signals(told):
            for _ in range(2):  # it counts as it likes
                signal.raise_signal(number)
            assert heard == [number] * 2
            await told.was(False)
        signal.raise_signal(number)
        assert heard == [number] * 3

    @pytest.mark.parametrize("number", BOTH)
    async def test_what_a_handler_of_the_program_raises_comes_after_the_block(
        self, number: signal.Signals, handlers: Handlers
    ) -> None:
        def leave(*_: object) -> None:
            raise Left

        told = Told()
        handlers(number, leave)
        with pytest.raises(Left), stop_on_signals(told):  # noqa: PT012  it is raised at the end
            with stop_on_signals(Told()):
                signal.raise_signal(number)
            await told.was(False)
        assert signal.getsignal(number) is leave

    @pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
    async def test_what_is_no_function_is_given_back(
        self, handlers: Handlers, handler: signal.Handlers
    ) -> None:
        told = Told()
        handlers(signal.SIGTERM, handler)
        with stop_on_signals(told):
            signal.raise_signal(signal.SIGTERM)
            await told.was(False)
        assert signal.getsignal(signal.SIGTERM) is handler

    def test_what_interrupts_a_program_by_itself_waits(self) -> None:
        async def main() -> None:  # `asyncio.run` would cancel it
            told = Told()
            with stop_on_signals(told):
                signal.raise_signal(signal.SIGINT)
                await told.was(False)
            signal.raise_signal(signal.SIGINT)
            await asyncio.Event().wait()

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())

    async def test_one_that_took_the_signal_meanwhile_keeps_it(self, handlers: Handlers) -> None:
        """As a server does that is started after a worker, and ends after it."""
        first, second = [], []
        handlers(signal.SIGTERM, lambda *_: first.append(1))
        with stop_on_signals(Told()):
            before = signal.signal(signal.SIGTERM, lambda *_: second.append(1))
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert (first, second) == ([], [1, 1])
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
        assert (first, second) == ([1], [1, 1])

    async def test_it_may_give_the_signal_back_to_a_later_block(self, handlers: Handlers) -> None:
        first, told = [], Told()
        handlers(signal.SIGTERM, lambda *_: first.append(1))
        with stop_on_signals(Told()):
            before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with stop_on_signals(told):
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(signal.SIGTERM)
            await told.was(False)
        signal.raise_signal(signal.SIGTERM)
        assert first == [1, 1]

    async def test_a_server_between_two_blocks_has_it_back_after_the_second(
        self, handlers: Handlers
    ) -> None:
        served = []
        with stop_on_signals(Told()):
            handlers(signal.SIGTERM, lambda *_: served.append(1))
            with stop_on_signals(Told()):
                signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert served == [1, 1]

    async def test_other_signals_still_come_to_it(self) -> None:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        try:
            with stop_on_signals(Told()):
                os.kill(os.getpid(), signal.SIGUSR1)
                await asyncio.wait_for(heard.wait(), 5)
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    async def test_a_handler_that_is_added_in_the_block_works(self) -> None:
        loop, heard, told = asyncio.get_running_loop(), asyncio.Event(), Told()
        with stop_on_signals(told):
            loop.add_signal_handler(signal.SIGUSR1, heard.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(heard.wait(), 5)
            signal.raise_signal(signal.SIGTERM)
            await told.was(False)
            loop.remove_signal_handler(signal.SIGUSR1)

    async def test_a_block_takes_over_from_a_handler_of_the_program(
        self, handlers: Handlers
    ) -> None:
        told = Told()
        with stop_on_signals(Told(), early=True):
            handlers(signal.SIGTERM, signal.SIG_IGN)
            with stop_on_signals(told):
                signal.raise_signal(signal.SIGTERM)
                await told.was(False)

    def test_a_socket_that_is_closed_meanwhile_is_not_given_back(self) -> None:
        async def main() -> None:
            with stop_on_signals(Told()):
                writes.close()

        reads, writes = socket.socketpair()
        writes.setblocking(False)
        signal.set_wakeup_fd(writes.fileno())
        asyncio.run(main())
        reads.close()
        signal.set_wakeup_fd(-1)

    def test_a_second_loop_is_woken_as_well(self) -> None:
        async def main() -> None:
            told = Told()
            with stop_on_signals(told):
                os.kill(os.getpid(), signal.SIGTERM)
                await told.was(False)

        for _ in range(2):
            asyncio.run(main())

    def test_a_block_that_its_loop_left_behind_disturbs_nothing(self) -> None:
        async def leave() -> None:
            left.enter_context(stop_on_signals(Told()))

        async def main() -> None:
            told = Told()
            with stop_on_signals(told):
                os.kill(os.getpid(), signal.SIGTERM)
                await told.was(False)

        left, before = ExitStack(), signal.getsignal(signal.SIGINT)
        asyncio.run(leave())
        signal.raise_signal(signal.SIGTERM)  # its loop is closed
        forget_the_last()
        asyncio.run(main())
        left.close()
        signal.signal(signal.SIGINT, before)  # what it had was the first loop's


@pytest.mark.skipif(sys.platform != "linux", reason="it calls the C library")
async def test_a_fork_that_python_did_not_see_dies_of_the_signal() -> None:
    told = Told()
    with stop_on_signals(told):
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
        await asyncio.sleep(0)
    assert told.calls == []
