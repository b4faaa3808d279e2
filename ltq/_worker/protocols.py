"""What the parts of a worker ask of one another, and what they tell the run they belong to.

A delivery passes each part once: fetcher, task pool, executor, completer. The parts are joined in
`ltq._worker.run` and do not import one another: each knows the next by a protocol of this file.
"""

from enum import Enum, auto
from typing import Protocol

from ltq.message import Delivery, Lease, Outcome


class CancelReason(Enum):
    """Why a worker cancels a running task."""

    SHUTDOWN = auto()
    """The worker ends: the task goes back to its queue."""
    REVOKED = auto()
    """The task was cancelled: it is final already."""
    LOST = auto()
    """The lease is lost: another worker has the task."""


class Pool(Protocol):
    """Runs what was claimed."""

    @property
    def free(self) -> int:
        """How many more deliveries it can take."""
        ...

    @property
    def used(self) -> int:
        """How many run, or wait to be tried again."""
        ...

    def start(self, delivery: Delivery) -> None:
        """Run a delivery."""
        ...

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait until `free` or `used` may have changed, at most `timeout` seconds."""
        ...


class Runner(Protocol):
    """Runs one delivery, and decides what becomes of it."""

    async def run(self, delivery: Delivery) -> Outcome:
        """Run it to its end. Only a cancellation is raised."""
        ...

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        """What becomes of it where `run` was cancelled, for a reason or None, or failed itself.

        None: nothing is to be written, the task is not this worker's any more.
        """
        ...


class OutcomeWriter(Protocol):
    """Writes what became of deliveries."""

    def submit(self, outcome: Outcome) -> None:
        """Write an outcome, soon."""
        ...


class LeaseBook(Protocol):
    """The leases that a worker has to renew."""

    def hold(self, delivery: Delivery) -> None:
        """Renew the lease of a delivery from now on."""
        ...

    def release(self, lease: Lease) -> None:
        """Renew it no longer: its outcome is written, or is not this worker's to write."""
        ...


class RunListener(Protocol):
    """What the parts of a worker tell the run they belong to."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the run itself is being cancelled, as at the end of `asyncio.run`."""
        ...

    def lease_lost(self, lease: Lease) -> None:
        """The broker refused a lease. Called in the run's event loop."""
        ...

    def task_revoked(self, task_id: str) -> None:
        """Somebody cancelled a task. Called in the run's event loop."""
        ...

    def loop_blocked(self) -> None:
        """The run's event loop does not answer. Called in the heartbeat's thread."""
        ...

    async def before_sweep(self) -> None:
        """Expired leases are about to be taken back, from all workers."""
        ...
