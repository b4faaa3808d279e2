"""Processes that are forked: their handlers, and their end."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from ltq._aio import forks
from ltq._aio.forks import default_signals_in_forks
from ltq._aio.signals import stop_on_signals

DEFAULTS = [signal.SIG_DFL, signal.default_int_handler]


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def blocked() -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}


def in_fork(check: Callable[[], bool]) -> bool:
    """What a check returns in a forked process."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 1}
    return code == 0


def has_defaults() -> bool:
    return handlers() == DEFAULTS and signal.set_wakeup_fd(-1) == -1 and not blocked()


def test_a_fork_has_default_handlers_and_its_parent_keeps_its_own() -> None:
    async def main() -> None:
        with stop_on_signals(lambda _: None):
            before = handlers()
            assert in_fork(has_defaults)
            assert handlers() == before != DEFAULTS
            assert not blocked()
        assert in_fork(lambda: signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)

    asyncio.run(main())


def test_so_it_is_in_a_thread() -> None:
    async def main() -> None:
        with stop_on_signals(lambda _: None):
            assert await asyncio.to_thread(in_fork, has_defaults)

    asyncio.run(main())


@pytest.mark.parametrize("in_block", [True, False])
def test_handlers_of_the_program_are_left_alone_unless_something_runs(in_block: bool) -> None:
    def handle(*_: object) -> None: ...

    reads, writes = socket.socketpair()
    writes.setblocking(False)
    before = signal.signal(signal.SIGTERM, handle)
    signal.set_wakeup_fd(writes.fileno())
    try:
        if in_block:
            with default_signals_in_forks():
                assert in_fork(has_defaults)
        else:
            assert in_fork(lambda: signal.getsignal(signal.SIGTERM) == handle)
        assert signal.set_wakeup_fd(-1) == writes.fileno()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, before)
        reads.close()
        writes.close()


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with default_signals_in_forks():
            assert in_fork(lambda: signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_fork_of_a_fork_is_on_its_own() -> None:
    def check() -> bool:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: None)
        return in_fork(lambda: handlers() != DEFAULTS)

    with default_signals_in_forks():
        assert in_fork(check)


def test_what_a_thread_blocks_it_blocks_after_a_fork_as_well() -> None:
    def check() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
        found.append(in_fork(lambda: blocked() == {signal.SIGTERM, signal.SIGUSR1}))
        found.append(blocked() == {signal.SIGTERM, signal.SIGUSR1})

    found: list[bool] = []
    with default_signals_in_forks():
        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
    assert found == [True, True]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (None, 0, ""),
        (SystemExit(), 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(-1), 255, ""),
        (SystemExit("a reason"), 1, "a reason\n"),
        (KeyboardInterrupt(), 130, ""),
        (ValueError("wrong"), 1, "ValueError: wrong\n"),
    ],
)
def test_a_fork_ends_as_a_program_would(
    error: BaseException | None, code: int, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    child, generation = -1, forks.generation
    try:
        child = os.fork()
        if child == 0 and error is not None:
            raise error
    finally:
        if forks.generation != generation:
            forks.end_fork()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    assert capfd.readouterr().err.endswith(text)
