"""A test that hangs ends its process, so that the others of a run go on and it is named.

pytest-timeout raises its error once, where the main thread happens to be: an event loop may swallow
it, and what is hung while a fixture is taken down after it is not looked at any more.
"""

import faulthandler
import os
from collections.abc import Generator

import pytest

GRACE = 60.0
"""Seconds that a test is given beyond twice its timeout."""

_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep where stderr goes now, before tests have it captured."""
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give a test its time, then print the stack of each thread and end the process."""
    faulthandler.dump_traceback_later(
        2 * _timeout(item) + GRACE, exit=True, file=item.config.stash[_STDERR]
    )
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _timeout(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    given = [*marker.args, *marker.kwargs.values()] if marker else []
    return float(given[0] if given else item.config.getini("timeout") or 0)
