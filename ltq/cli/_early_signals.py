"""SIGTERM and SIGINT before something runs that listens to them, and after it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ltq._aio.exit import exit_now
from ltq._aio.forks import STOP_SIGNALS
from ltq._aio.signals import OwnHandler
from ltq.cli import _program

_INTERRUPTED = 128 + signal.SIGINT


class _Terminated(BaseException):
    """SIGTERM came while nothing listened to it, as in the user's module while it is imported."""


class EarlySignals(OwnHandler):
    """Interrupts this process at the first signal, as Ctrl-C does, and ends it at a second one."""

    def __init__(self) -> None:
        self.first: int | None = None
        self._is_over = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:
            os._exit(0)
        if self.first is not None:
            os._exit(_exit_code(self.first))
        self.first = number
        self.check()

    def check(self) -> None:
        """Interrupt again, if the user's code has caught the interrupt."""
        if self.first is not None:
            raise KeyboardInterrupt if self.first == signal.SIGINT else _Terminated

    @contextmanager
    def around(self) -> Iterator[None]:
        """Handle the signals that have Python's own handlers.

        SIGTERM ends the process with 0, as it ends what runs in the block; SIGINT with 130. Where
        the process is not that of `ltq`, the handlers are restored. Otherwise they go on until it
        has ended, so that one more signal does not change the exit code of a block that is done.
        """
        own = (signal.SIG_DFL, signal.default_int_handler)
        is_main = threading.current_thread() is threading.main_thread()
        taken = {
            number: handler
            for number in STOP_SIGNALS
            if is_main and (handler := signal.getsignal(number)) in own
        }
        for number in taken:
            signal.signal(number, self)
        try:
            yield
            self._is_over = _program.is_own
        except BaseException as error:
            if self.first is not None:
                _end(self.first)
            is_done = isinstance(error, SystemExit) and not error.code
            self._is_over = is_done and _program.is_own
            raise
        finally:
            for number, handler in taken.items():
                if not self._is_over and signal.getsignal(number) is self:
                    signal.signal(number, handler)


def _exit_code(number: int) -> int:
    return _INTERRUPTED if number == signal.SIGINT else 0


def _end(number: int) -> NoReturn:
    """End as a signal wants, whatever the user's code made of the interrupt."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if _program.is_own:
        exit_now(0)  # threads that the module has started do not hold it
    raise SystemExit(0)
