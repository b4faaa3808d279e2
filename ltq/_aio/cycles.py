"""What keeps the local variables of a failed run until a cyclic collection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType

_MOST_ERRORS = 100
"""Most errors of one chain that are looked at."""


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


@contextmanager
def _nothing_sync() -> Iterator[None]:
    yield


_KEEPERS = frozenset(
    (
        asyncio.TaskGroup.__aexit__.__code__,
        type(_nothing()).__aexit__.__code__,
        type(_nothing_sync()).__exit__.__code__,
    )
)
"""In some versions of Python, these keep an error that they raise, or that was raised in them, in a
frame that the traceback of the error keeps in turn. None goes on after it has raised."""


def break_cycles(error: BaseException) -> None:
    """Let an error go without a cyclic collection, once nobody looks at it any more."""
    with suppress(BaseException):  # of the code of errors
        for one in _chain(error):
            trace = one.__traceback__
            while trace is not None:
                _clear(trace)
                trace = trace.tb_next


def _clear(trace: TracebackType) -> None:
    for frame in (trace.tb_frame, trace.tb_frame.f_back):
        if frame is not None and frame.f_code in _KEEPERS:
            with suppress(RuntimeError):  # it is still running
                frame.clear()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those it came from, each once."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left and len(seen) < _MOST_ERRORS:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
