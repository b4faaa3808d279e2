"""Cancellations: told apart from errors, and aimed at a block."""

import asyncio
from typing import Any, Self


def is_cancelled() -> bool:
    """Whether the running asyncio task is being cancelled."""
    running = asyncio.current_task()
    return running is None or running.cancelling() > 0


def uncancel() -> None:
    """Let the running asyncio task go on as if nobody had cancelled it."""
    running = asyncio.current_task()
    while running is not None and running.cancelling():
        running.uncancel()


def is_cancellation(error: BaseException) -> bool:
    """Whether an error means that the running asyncio task is being cancelled."""
    kind = type(error)  # an error's `__class__`, which `isinstance` asks, may say or raise anything
    return issubclass(kind, asyncio.CancelledError) and is_cancelled()


class Cuttable:
    """A block that can be cancelled from outside: then it ends, without an error.

        with Cuttable() as block:
            await asyncio.Event().wait()
        ...
        block.cut()  # in the event loop, not in the block itself

    The block may catch the cancellation, to clean up. Others that cancel the same asyncio task are
    not confused with it.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._cancelled_before = 0
        self._cuts = 0
        self.was_cut = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelled_before = 0 if self._task is None else self._task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        task, self._task = self._task, None
        if task is None or not self._cuts:
            return False
        for _ in range(self._cuts):
            task.uncancel()
        return kind is asyncio.CancelledError and task.cancelling() <= self._cancelled_before

    def cut(self) -> None:
        """Cancel what the block waits for. Does nothing before and after the block."""
        if self._task is not None:
            self.was_cut = True
            self._cuts += 1
            self._task.cancel()
