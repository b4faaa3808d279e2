"""A test that hangs ends its process, so that the others of a run go on and it is named.

pytest-timeout raises its error once, where the main thread happens to be: an event loop may swallow
it, and what is hung while a fixture is taken down after it is not looked at any more.

One thread looks at the clock for all tests: a thread for each, as `faulthandler` starts them, would
cost more than most tests do.
"""

import _thread
import faulthandler
import math
import os
import time
from collections.abc import Generator

import pytest

GRACE = 60.0
"""Seconds that a test is given beyond twice its timeout."""

LOOK_EVERY = 5.0
"""Seconds between two looks at the clock."""

STUCK = 180.0
"""Seconds without a look until the process ends: something keeps all its threads from running."""

_now, _sleep = time.monotonic, time.sleep  # those that no test replaces


class _Watchdog:
    """Ends the process once the present test is overdue."""

    def __init__(self, stderr: int) -> None:
        self._stderr = stderr
        self._test, self._deadline, self._seconds = "", math.inf, 0.0

    def start(self) -> None:
        """Look at the clock from now on, in a thread that `threading` does not count."""
        _thread.start_new_thread(self._run, ())

    def begin(self, test: str, seconds: float) -> None:
        """A test begins, which has so many seconds."""
        self._test, self._seconds = test, seconds
        self._deadline = _now() + seconds

    def end(self) -> None:
        """No test runs."""
        self._deadline = math.inf

    def _run(self) -> None:
        while _now() < self._deadline:
            faulthandler.dump_traceback_later(STUCK, exit=True, file=self._stderr)
            _sleep(LOOK_EVERY)
        text = f"Timeout: {self._test} has not ended after {self._seconds:.1f} s\n"
        os.write(self._stderr, text.encode())
        faulthandler.dump_traceback(self._stderr)
        os._exit(1)


_WATCHDOG = pytest.StashKey[_Watchdog]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep where stderr goes now, before tests have it captured."""
    config.stash[_WATCHDOG] = _Watchdog(os.dup(2))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Watch from now on."""
    session.config.stash[_WATCHDOG].start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give a test its time; then the stack of each thread is printed, and the process ends."""
    watchdog = item.config.stash[_WATCHDOG]
    watchdog.begin(item.nodeid, 2 * _timeout(item) + GRACE)
    try:
        return (yield)
    finally:
        watchdog.end()


def _timeout(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    given = [*marker.args, *marker.kwargs.values()] if marker else []
    return float(given[0] if given else item.config.getini("timeout") or 0)
