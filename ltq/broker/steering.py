"""Steering of queues and tasks at run time: a role of a broker. Its docstrings are the contract."""

from collections.abc import Sequence
from typing import Protocol

from ltq.state import Status

MAX_RERUN = 500
"""Most tasks that one call of `Steering.rerun` sends once more."""


class Steering(Protocol):
    """Holds queues back and lets them go on, and moves tasks that wait.

    Each call raises `ConfigurationError` for what is no name of a queue, or no id.
    """

    async def pause(self, queue: str) -> None:
        """Let nothing of a queue be claimed any more, by any consumer, until `resume`.

        It holds for all lanes and priorities, from the moment this returns, and over restarts of
        everything. It is kept without an end, also for a queue that has no tasks yet: the queue is
        known from then on. Tasks are accepted as before, those that run go on, and what is due,
        recovered, cancelled or cleared is so as before. A queue may be paused any number of times.
        """
        ...

    async def resume(self, queue: str) -> None:
        """Let a paused queue go on: consumers that wait for it are woken.

        Nothing happens if it is not paused.
        """
        ...

    async def promote(self, queue: str, ids: Sequence[str]) -> int:
        """Make delayed tasks of a queue pending now, as if they were due. Returns how many were.

        They go behind the others of their lanes, in the order of `ids`. Tasks that are unknown or
        have another status do not count, and stay as they are.
        """
        ...

    async def cancel_many(
        self,
        queue: str,
        *,
        status: Status | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        older_than: float | None = None,
    ) -> int:
        """Cancel the tasks of a queue that wait, in small steps. Returns how many it cancelled.

        These are its pending and delayed ones; with `status` only those with this status, which may
        be WORKING: then their workers are told. It may also ask for a `task_name`, a `tag`, and
        `older_than` seconds since the task was sent. Each is cancelled as by `cancel`, and its
        state is kept for its own `result_ttl`, or `ltq.options.DEFAULT_RESULT_TTL` seconds. What is
        sent or requeued meanwhile may be left. Raises `ConfigurationError` for a final status, and
        for any other wrong value.
        """
        ...

    async def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        """Send final tasks of a queue once more, as new tasks. Returns their ids, in order.

        A task's arguments are kept with its state if `Envelope.keep_body` says so; if it says
        nothing, those of FAILED and REJECTED tasks are. The new task has the old one's arguments,
        `ctx` (that of its last claim), tags, priority and options, but no `fingerprint`, no failed
        runs, and this moment as the time when it was sent. `max_pending` does not apply. All are
        sent or none: raises `TaskNotFoundError` for an unknown or expired id, `RerunError` if one
        of the tasks is not final or its arguments were not kept, and `ConfigurationError` for more
        than `MAX_RERUN`.
        """
        ...
