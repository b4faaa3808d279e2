"""The protocols by which the parts of a worker know one another, and the run they belong to.

A delivery passes each part once: fetcher, task pool, executor, completer. `ltq._worker.parts` joins
them. They do not import one another: each knows the others by a protocol of this file.
"""

from collections.abc import Collection, Sequence
from contextvars import Context
from enum import Enum, auto
from typing import NamedTuple, Protocol

from ltq.broker import Broker, Settler
from ltq.message import Delivery, Finish, Lease, Outcome, Requeue
from ltq.state import TaskState


class CancelReason(Enum):
    """Why a worker cancels a running task."""

    SHUTDOWN = auto()
    """The worker stops: the task goes back to its queue."""
    REVOKED = auto()
    """A user cancelled the task: it is final already."""
    LOST = auto()
    """The lease is lost: another worker may have the task."""
    BROKEN = auto()
    """The event loop broke, perhaps through this task: it counts a death."""

    @property
    def takes_the_task(self) -> bool:
        """Whether the task is no longer this worker's. Then its run has no outcome."""
        return self is CancelReason.REVOKED or self is CancelReason.LOST


class Pool(Protocol):
    """Runs claimed deliveries. The fetcher fills it."""

    @property
    def free(self) -> int:
        """How many more deliveries it can take."""
        ...

    @property
    def used(self) -> int:
        """How many deliveries run, or wait for a thread to end before their retry."""
        ...

    @property
    def idle_for(self) -> float:
        """Seconds since nothing runs any more; 0 while something does."""
        ...

    def start(self, delivery: Delivery) -> None:
        """Run a delivery."""
        ...

    async def wait_changed(self, timeout: float | None = None) -> None:
        """Wait until `free` or `used` may have changed, at most `timeout` seconds."""
        ...

    def wake(self) -> None:
        """Let `wait_changed` return."""
        ...


class RunStore(Settler, Protocol):
    """What a run asks of a broker."""

    @property
    def url(self) -> str:
        """Its URL, without user and password."""
        ...

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """The present states of tasks."""
        ...


class Runner(Protocol):
    """Runs one delivery and decides its outcome. The task pool calls it."""

    async def run(self, delivery: Delivery) -> Outcome:
        """Run a delivery to its end. Whatever it raises ends the run."""
        ...

    def timeout_of(self, delivery: Delivery) -> float | None:
        """Seconds that the run of a delivery may take; None for no limit."""
        ...

    def put_back(self, delivery: Delivery, variables: Context) -> Requeue:
        """The outcome that requeues a delivery, from the context variables of its run.

        From any thread.
        """
        ...

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        """The outcome of a delivery whose `run` did not return: it was cancelled, or it failed.

        `reason` is why the worker cancelled it, or None if the worker did not. Returns None if
        there is nothing to write because the task no longer belongs to this worker.
        """
        ...


class FlowListener(Protocol):
    """Is told of outcomes that something follows from. The completer tells it."""

    def wrote(self, outcome: Finish) -> None:
        """An outcome is written: of a task of a workflow, or one that something follows."""
        ...

    def dropped(self, outcome: Outcome) -> None:
        """An outcome is not written, as the lease was lost or the broker refused it."""
        ...


class StrangerListener(Protocol):
    """Is told where tasks wait that the worker does not run. The fetcher tells it."""

    async def moved(self, lanes: Sequence[str]) -> None:
        """A claim has moved tasks to these lanes. It raises nothing."""
        ...


class OutcomeWriter(Protocol):
    """Writes the outcomes of deliveries. The task pool hands them over."""

    def submit(self, outcome: Outcome) -> None:
        """Write an outcome soon, in the background."""
        ...


class HeldLeases(Protocol):
    """The leases that a worker holds, from the claim until its outcome is written.

    The task pool adds them, the task pool and the completer remove them, and the heartbeat reads
    them from its own thread.
    """

    def __contains__(self, lease: Lease) -> bool: ...

    def all(self) -> list[Lease]:
        """The leases held now. From any thread."""
        ...

    def hold(self, delivery: Delivery) -> None:
        """Renew the lease of a delivery from now on."""
        ...

    def release(self, lease: Lease) -> None:
        """Stop renewing a lease: its outcome is written, or is not this worker's to write."""
        ...


class Registration(Protocol):
    """The worker's entry in the broker's registry. The heartbeat keeps it, in its own thread."""

    async def keep(self, broker: Broker) -> None:
        """Say again and again that the worker lives, until cancelled."""
        ...

    async def leave(self, broker: Broker) -> None:
        """Say that the worker has ended. It raises nothing."""
        ...


class LeaseListener(Protocol):
    """What the heartbeat tells the run it belongs to."""

    def lease_lost(self, lease: Lease) -> None:
        """The broker refused a lease. Called in the run's event loop."""
        ...


class GivenUp(NamedTuple):
    """Leases that a worker does not keep any longer while its event loop is blocked."""

    culprits: Collection[Lease]
    """Not to be renewed: they end, which counts a death."""
    returned: Collection[Lease]
    """To be requeued, so that their tasks run elsewhere."""


class BlockListener(Protocol):
    """What the heartbeat asks while the event loop of its run is blocked, in its own thread."""

    def loop_blocked(self) -> None:
        """The event loop does not answer."""
        ...

    def given_up(self) -> GivenUp:
        """Which leases are not kept any longer."""
        ...

    def put_back(self, lease: Lease) -> Requeue:
        """The outcome that requeues what runs under a lease."""
        ...

    def must_end(self) -> bool:
        """Whether the process has to end."""
        ...

    async def hand_over(self, settler: Settler) -> None:
        """The process ends: write outcomes, and requeue what runs."""
        ...


class RunListener(LeaseListener, Protocol):
    """What all parts of a worker tell the run they belong to, and ask it."""

    def cancel_reason(self, lease: Lease) -> CancelReason | None:
        """Why the worker has cancelled the run of a lease; None if it has not."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """Whether the run itself is being cancelled, as at the end of `asyncio.run`."""
        ...

    def cancels(self, lease: Lease) -> bool:
        """Whether the worker cancels the run of a lease, by itself or because all ends."""
        ...

    def loop_breaker(self, lease: Lease) -> BaseException | None:
        """The error with which the run of a task broke the event loop; None if it did not."""
        ...

    def dies(self, lease: Lease) -> bool:
        """Count a death for a task if the event loop broke; return whether it did."""
        ...

    def task_revoked(self, task_id: str) -> None:
        """A user cancelled a task. Called in the run's event loop."""
        ...

    async def before_sweep(self, shard: str) -> None:
        """A sweep of this shard is about to take back expired leases, from all workers."""
        ...
