"""The lifespan of a worker during one run: entered, left, and its errors told."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

from ltq._display.errors import text_of
from ltq.errors import LifespanError
from ltq.logger import enable_loggers, get_logger

T = TypeVar("T")
W = TypeVar("W")

_LEAVING = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
"""What ends the program around a worker, and not only its lifespan."""


class Lifespan(AbstractAsyncContextManager[T, bool | None], Generic[T, W]):
    """What `lifespan` makes of a worker, as a context manager whose errors are `LifespanError`."""

    def __init__(
        self, name: str, lifespan: Callable[[W], AbstractAsyncContextManager[T]], worker: W
    ) -> None:
        self._name = name
        self._lifespan = lifespan
        self._worker = worker

    async def __aenter__(self) -> T:
        try:
            manager = self._lifespan(self._worker)
            if not isinstance(manager, AbstractAsyncContextManager):
                raise TypeError(
                    f"{manager!r} is not an async context manager: is @asynccontextmanager missing?"
                )
            resource = await manager.__aenter__()
            enable_loggers()  # some set up logging here
        except _LEAVING:
            raise
        except BaseException as error:  # also a panic of a library
            raise self._error("cannot start", error) from error
        self._manager = manager
        return resource

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Leave it. An error of the run that it lets through is raised unchanged."""
        try:
            return await self._manager.__aexit__(kind, raised, trace)
        except _LEAVING:
            raise
        except BaseException as error:
            if error is raised:
                raise
            raise self._error("failed while stopping", error) from error

    def _error(self, what: str, error: BaseException) -> LifespanError:
        get_logger(self._name).debug("the lifespan failed", exc_info=error)
        name = getattr(self._lifespan, "__qualname__", repr(self._lifespan))
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.endswith((__file__, "contextlib.py"))
        ]
        where = f" ({frames[0].filename}:{frames[0].lineno})" if frames else ""
        text = f"{type(error).__name__}: {text_of(error)}".removesuffix(": ")
        return LifespanError(
            f"worker {self._name!r} {what}: its lifespan {name} raised {text}{where}"
        )
