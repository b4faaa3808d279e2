"""What becomes of the runs of a worker whose event loop broke."""

import asyncio
import logging
from contextvars import copy_context

from ltq._aio.loop_breaker import (
    Breaker,
    CancelHook,
    contexts_of,
    handled_around,
    is_interrupt,
    is_stop,
    ran_for,
)
from ltq._aio.service import Service
from ltq.context import lease_in
from ltq.message import Lease

logger = logging.getLogger("ltq.worker")


class LoopBreak(Service):
    """Finds out which run broke the event loop, once that has happened.

    Its asyncio task waits to be cancelled together with all others: then it looks, before any of
    them goes on and throws away what tells of the culprit. It may be a run itself that cancels them
    all.
    """

    def __init__(self) -> None:
        super().__init__("ltq-loop-break", logger)
        self._worker = asyncio.current_task()
        self._is_alone = False
        """Whether the loop ran for the worker: whatever broke it then comes from a task."""
        self._handled_before = handled_around()
        self.error: BaseException | None = None
        """What broke the event loop; None while it runs well."""
        self._culprits: list[Lease | None] = []
        self.died: list[Lease] = []
        """Of the tasks that count a death: they ran when the loop broke."""

    @property
    def kills(self) -> bool:
        """Whether the loop broke through a task: what ran beside it counts a death."""
        if self.error is None or is_interrupt(self.error):
            return False
        if self._is_alone:  # callbacks and threads do not always tell whose they are
            return True
        if is_stop(self.error):
            return False
        # With contexts, but without a lease among them, it was other code of the program.
        return not self._culprits or any(lease is not None for lease in self._culprits)

    def is_by(self, lease: Lease) -> bool:
        """Whether the loop broke through this run."""
        return lease in self._culprits

    def dies(self, lease: Lease) -> bool:
        """If the loop broke through a task, count a death for this one; return whether it did."""
        if self.kills:
            self.died.append(lease)
        return self.kills

    def look(self) -> None:
        """Find out whether the event loop broke. Not in an `except` or `finally`."""
        error = handled_around()
        if self.error is not None or error is None or error is self._handled_before:
            return
        self._is_alone = self._worker is not None and ran_for(self._worker, error)
        if isinstance(error, Breaker):
            self.error = error
            self._culprits = [lease_in(context) for context in contexts_of(error)]
        elif is_stop(error):
            self.error = error

    def _cancelled(self) -> None:
        lease = lease_in(copy_context())
        if lease is None or self.is_stopping:
            self.look()
        elif self.error is None:
            self.error = RuntimeError("the task cancelled the asyncio tasks of its worker")
            self._culprits = [lease]

    async def _run(self) -> None:
        await CancelHook(self._cancelled)
