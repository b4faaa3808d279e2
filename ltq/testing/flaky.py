"""A broker that fails on demand."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Self

from ltq._display.values import short_repr
from ltq.broker import (
    DEFAULT_LEASE,
    DEFAULT_SCAN,
    Broker,
    Claim,
    Consumer,
    ConsumerConfig,
    Enlisted,
    Finding,
    WorkerEntry,
)
from ltq.broker.feed import Feed
from ltq.broker.flows import Arrival, Arrived, Ending, Ready, WaitingTask
from ltq.broker.moving import Parcel
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.errors import ConfigurationError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.options import Seconds
from ltq.state import (
    Items,
    Minute,
    Page,
    Progress,
    QueueStats,
    Status,
    TaskDetail,
    TaskState,
    WorkerInfo,
)
from ltq.testing.faults import Calls, Fault, Faults


class FlakyBroker(Broker):
    """A broker that passes calls on to another one, and fails when it is told to.

        broker = FlakyBroker(Broker.from_url("redis://localhost:6379"))
        worker = ltq.Worker("shop", broker=broker)
        broker.fail(next=3, on="send")

    Its clones share its faults; a worker's heartbeat uses one. Raises `ConfigurationError`.
    """

    def __init__(self, broker: Broker) -> None:
        if not isinstance(broker, Broker):
            raise ConfigurationError(f"broker={short_repr(broker)} is not allowed: an ltq.Broker")
        self._broker = broker
        self._faults = Faults()

    @property
    def calls(self) -> Counter[str]:
        """How many calls were made, by name, including those that failed."""
        return self._faults.counts

    def fail(
        self,
        on: Calls = None,
        *,
        next: int | None = None,  # noqa: A002  `fail(next=3)` reads well
        error: Exception | None = None,
        lost: bool = False,
    ) -> Fault:
        """Let calls raise `error` (default: a `BrokerError`). `on` names the calls; None means all.

        The next `next` calls fail; with None all fail until `heal()`, `fault.heal()`, or the end of
        `with broker.fail(...):`. With `lost` each call is carried out, and only its reply is lost.
        If a call has several faults, the first one counts. Raises `ConfigurationError` for the name
        of an unknown call.
        """
        return self._faults.fail(on, next=next, error=error, lost=lost)

    def slow(self, seconds: Seconds, on: Calls = None) -> None:
        """Let calls take `seconds` longer until `heal()`. `watch` cannot be slowed down."""
        self._faults.slow(seconds, on)

    def heal(self) -> None:
        """Remove all faults and delays."""
        self._faults.heal()

    @property
    def url(self) -> str:
        return self._broker.url

    @property
    def is_local(self) -> bool:
        return self._broker.is_local

    @property
    def exists(self) -> bool:
        return self._broker.exists

    @property
    def migration(self) -> str:
        return self._broker.migration

    def clone(self) -> "FlakyBroker":
        clone = FlakyBroker(self._broker.clone())
        clone._faults = self._faults
        return clone

    async def ping(self) -> None:
        await self._faults.call("ping", self._broker.ping)

    async def hazards(self) -> list[str]:
        return await self._faults.call("hazards", self._broker.hazards)

    async def migrate(self) -> bool:
        return await self._faults.call("migrate", self._broker.migrate)

    def enlist(self, connection: object) -> Enlisted:
        """The broker's own: what goes over a connection of the caller's never fails on demand."""
        return self._broker.enlist(connection)

    async def aclose(self) -> None:
        await self._broker.aclose()

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        return FlakyConsumer(self._broker.open_consumer(config), self._faults)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        return await self._faults.call("send", lambda: self._broker.publish(envelopes))

    async def first(self, queue: str, fingerprint: str) -> str | None:
        return await self._faults.call("first", lambda: self._broker.first(queue, fingerprint))

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        await self._faults.call("serve", lambda: self._broker.serve(lanes, duration))

    async def served(self, lanes: Sequence[str]) -> list[float | None]:
        return await self._faults.call("served", lambda: self._broker.served(lanes))

    async def announce(self, worker: WorkerEntry) -> bool:
        return await self._faults.call("announce", lambda: self._broker.announce(worker))

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str] = ()) -> None:
        await self._faults.call("leave", lambda: self._broker.leave(worker, lanes))

    def shard(self, queue: str) -> str:
        return self._broker.shard(queue)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        return await self._faults.call("finish", lambda: self._broker.finish(outcomes))

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        call = self._broker.heartbeat
        return await self._faults.call("heartbeat", lambda: call(leases, duration))

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        return await self._faults.call("progress", lambda: self._broker.progress(lease, progress))

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        call = self._broker.append
        return await self._faults.call("append", lambda: call(lease, first, items, most))

    async def sweep(self, queues: Iterable[str]) -> Swept:
        return await self._faults.call("sweep", lambda: self._broker.sweep(queues))

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        call = self._broker.repair
        return await self._faults.call("repair", lambda: call(queues, lease=lease, every=every))

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        return await self._faults.call("states", lambda: self._broker.states(queue, ids))

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        def call() -> Awaitable[Items | None]:
            return self._broker.items(queue, task_id, attempt=attempt, after=after, limit=limit)

        return await self._faults.call("items", call)

    def feed(self, queue: str, task_id: str) -> Feed:
        self._faults.counts["watch"] += 1
        fault = self._faults.find("watch")
        if fault is None:
            return self._broker.feed(queue, task_id)
        feed = Feed(lambda _: None)
        feed.fail(fault.take())
        return feed

    async def queues(self) -> list[str]:
        return await self._faults.call("queues", self._broker.queues)

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        return await self._faults.call("stats", lambda: self._broker.stats(queues))

    async def clear(self, queue: str) -> int:
        return await self._faults.call("clear", lambda: self._broker.clear(queue))

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        call = self._broker.cancel
        return await self._faults.call("cancel", lambda: call(queue, task_id, result_ttl))

    async def pause(self, queue: str) -> None:
        await self._faults.call("pause", lambda: self._broker.pause(queue))

    async def resume(self, queue: str) -> None:
        await self._faults.call("resume", lambda: self._broker.resume(queue))

    async def promote(self, queue: str, ids: Sequence[str]) -> int:
        return await self._faults.call("promote", lambda: self._broker.promote(queue, ids))

    async def endings(
        self, queue: str, *, limit: int = 500, older_than: float = 0.0
    ) -> list[Ending]:
        return await self._faults.call(
            "endings", lambda: self._broker.endings(queue, limit=limit, older_than=older_than)
        )

    async def carried(self, queue: str, keys: Sequence[str]) -> None:
        await self._faults.call("carried", lambda: self._broker.carried(queue, keys))

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        return await self._faults.call("arrive", lambda: self._broker.arrive(queue, arrivals))

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        return await self._faults.call("held", lambda: self._broker.held(queue, task_id, slots))

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        return await self._faults.call("ctx", lambda: self._broker.ctx(queue, task_id))

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        return await self._faults.call("go_on", lambda: self._broker.go_on(queue, task_id, ready))

    async def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        return await self._faults.call(
            "cancel_each", lambda: self._broker.cancel_each(queue, ids, result_ttl)
        )

    async def restart(self, queue: str, ids: Sequence[str], held: bool) -> int:
        return await self._faults.call(
            "restart", lambda: self._broker.restart(queue, ids, held=held)
        )

    async def cancel_many(
        self,
        queue: str,
        *,
        status: Status | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        older_than: float | None = None,
    ) -> int:
        def call() -> Awaitable[int]:
            return self._broker.cancel_many(
                queue, status=status, task_name=task_name, tag=tag, older_than=older_than
            )

        return await self._faults.call("cancel_many", call)

    async def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        return await self._faults.call("rerun", lambda: self._broker.rerun(queue, ids))

    async def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        return await self._faults.call("pack", lambda: self._broker.pack(queue, ids))

    async def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        return await self._faults.call("pack_dead", lambda: self._broker.pack_dead(queue, ids))

    async def adopt(self, parcels: Sequence[Parcel]) -> list[Published]:
        return await self._faults.call("adopt", lambda: self._broker.adopt(parcels))

    async def drop(self, parcels: Sequence[Parcel]) -> list[str]:
        return await self._faults.call("drop", lambda: self._broker.drop(parcels))

    async def adopt_schedule(self, record: ScheduleRecord, due: int) -> bool:
        call = self._broker.adopt_schedule
        return await self._faults.call("adopt_schedule", lambda: call(record, due))

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        return await self._faults.call("find", lambda: self._broker.find(task_id))

    async def body(self, queue: str, task_id: str) -> bytes | None:
        return await self._faults.call("body", lambda: self._broker.body(queue, task_id))

    async def tasks(
        self,
        queue: str,
        *,
        status: Status | str | Iterable[Status | str] | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[TaskDetail]:
        return await self._faults.call(
            "tasks",
            lambda: self._broker.tasks(
                queue, status=status, task_name=task_name, tag=tag, limit=limit, cursor=cursor
            ),
        )

    async def workers(self) -> list[WorkerInfo]:
        return await self._faults.call("workers", self._broker.workers)

    async def history(self, queue: str, minutes: int = 60) -> list[Minute]:
        return await self._faults.call("history", lambda: self._broker.history(queue, minutes))

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        call = partial(self._broker.examine, scan=scan, on_scan=on_scan)
        return await self._faults.call("examine", call)

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        call = self._broker.dead_letters
        return await self._faults.call(
            "dead_letters", lambda: call(queue, limit=limit, offset=offset)
        )

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        return await self._faults.call(
            "dead_letter", lambda: self._broker.dead_letter(queue, task_id)
        )

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        return await self._faults.call("replay", lambda: self._broker.replay(queue, ids))

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        call = self._broker.purge
        return await self._faults.call("purge", lambda: call(queue, ids, older_than=older_than))

    async def time(self) -> float:
        return await self._faults.call("time", self._broker.time)

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        return await self._faults.call("fire", lambda: self._broker.fire(slot))

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        call = self._broker.put_schedule
        return await self._faults.call("put_schedule", lambda: call(schedule, due))

    async def remove_schedule(self, queue: str, name: str) -> bool:
        call = self._broker.remove_schedule
        return await self._faults.call("remove_schedule", lambda: call(queue, name))

    async def pause_schedule(self, queue: str, name: str) -> bool:
        call = self._broker.pause_schedule
        return await self._faults.call("pause_schedule", lambda: call(queue, name))

    async def resume_schedule(self, queue: str, name: str) -> bool:
        call = self._broker.resume_schedule
        return await self._faults.call("resume_schedule", lambda: call(queue, name))

    async def schedule_marks(self) -> Mapping[str, int]:
        return await self._faults.call("schedule_marks", self._broker.schedule_marks)

    async def changed_schedules(self, queue: str, after: int) -> ScheduleChanges:
        call = self._broker.changed_schedules
        return await self._faults.call("changed_schedules", lambda: call(queue, after))

    async def schedules(
        self, names: Sequence[str], queue: str | None = None
    ) -> list[ScheduleRecord]:
        call = self._broker.schedules
        return await self._faults.call("schedules", lambda: call(names, queue))


class FlakyConsumer:
    """A consumer of a broker that fails on demand."""

    def __init__(self, consumer: Consumer, faults: Faults) -> None:
        self.name: str = consumer.name
        self._consumer = consumer
        self._faults = faults

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        claim = partial(self._consumer.claim, limit, running, ignore_isolation=ignore_isolation)
        return await self._faults.call("claim", claim)

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        call = partial(self._consumer.wait, timeout, room, running)
        return await self._faults.call("wait", call)

    async def freed(self, lane: str) -> None:
        await self._faults.call("freed", lambda: self._consumer.freed(lane))

    async def aclose(self) -> None:
        await self._consumer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
