"""The broker of a box: it is in memory, records what was sent, and renews its workers' leases."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from threading import current_thread, main_thread
from typing import Self

from ltq._aio.clock import Clock
from ltq.broker import Claim, Consumer, ConsumerConfig, Enlisted
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.schedules import KeptSchedule
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Envelope, Lease, Outcome, Published, Receipt
from ltq.testing._enlisted import AtOnce
from ltq.testing._loops import WORLD
from ltq.testing.flaky import FlakyBroker

_numbers = count(1)


class RecordingBroker(MemoryBroker):
    """A broker in memory that records the envelopes of the tasks it accepted, in `sent`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(f"memory://testing-{next(_numbers)}", clock=clock)
        self.sent: list[Envelope] = []
        self.on_schedules: list[Callable[[], object]] = []
        """Called when a schedule was put, removed, paused or resumed."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        answers = await super().publish(envelopes)
        for envelope, answer in zip(envelopes, answers, strict=True):
            self._record(envelope, answer)
        return answers

    def enlist(self, connection: object) -> Enlisted:
        """Take tasks at once, whatever becomes of the transaction: here is no database."""
        return AtOnce(self._store, self._record)

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        receipt = await super().fire(slot)
        if slot.envelope is not None:
            self._record(slot.envelope, receipt.published)
        return receipt

    async def put_schedule(self, schedule: KeptSchedule, due: int) -> bool:
        return self._told(await super().put_schedule(schedule, due))

    async def remove_schedule(self, queue: str, name: str) -> bool:
        return self._told(await super().remove_schedule(queue, name))

    async def pause_schedule(self, queue: str, name: str) -> bool:
        return self._told(await super().pause_schedule(queue, name))

    async def resume_schedule(self, queue: str, name: str) -> bool:
        return self._told(await super().resume_schedule(queue, name))

    def _told(self, is_done: bool) -> bool:
        for tell in tuple(self.on_schedules):
            tell()
        return is_done

    def _record(self, envelope: Envelope, answer: Published | None) -> None:
        if answer is Published.CREATED:
            self.sent.append(envelope)


class Gate:
    """The gate at which the workers of one event loop wait before they claim."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._is_over = False

    def open(self) -> None:
        """Let workers claim."""
        self._open.set()

    def close(self) -> None:
        """Let workers wait, unless they are to end."""
        if not self._is_over:
            self._open.clear()

    def end(self) -> None:
        """Let workers pass without a claim, so that they can end."""
        self._is_over = True
        self._open.set()

    async def passed(self) -> bool:
        """Wait until the gate is open; return whether to claim."""
        await self._open.wait()
        return not self._is_over


class BoxBroker(FlakyBroker):
    """The broker of a box. Workers that follow its clock claim only while the gate is open."""

    def __init__(self, recorder: RecordingBroker) -> None:
        super().__init__(recorder)
        self.gate: Gate | None = None
        self.before_send: Callable[[], Awaitable[None]] | None = None
        """Awaited before each send by the test itself, in an event loop of the main thread."""
        self._held: dict[Lease, float] = {}

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        consumer = super().open_consumer(config)
        if self.gate is None or WORLD.get() is None:
            return consumer
        return _BoxConsumer(consumer, self, self.gate, config.lease)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        is_test = WORLD.get() is None and current_thread() is main_thread()
        if self.before_send is not None and is_test:
            await self.before_send()
        return await super().publish(envelopes)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        receipts = await super().finish(outcomes)
        for outcome in outcomes:
            self._held.pop(outcome.lease, None)
        return receipts

    async def keep(self, leases: Iterable[Lease], duration: float) -> None:
        """Renew leases while they are held. The heartbeat of a worker only follows real time."""
        mine = dict.fromkeys(leases, duration)
        self._held.update(mine)
        while True:
            await asyncio.sleep(duration / 3)
            held = [lease for lease in mine if lease in self._held]
            if not held:
                return
            with suppress(BrokerError):
                for lease in await self.heartbeat(held, duration):
                    self._held.pop(lease, None)


class _BoxConsumer:
    """The consumer of a worker: it claims only while the gate is open."""

    def __init__(self, consumer: Consumer, broker: BoxBroker, gate: Gate, lease: float) -> None:
        self.name = consumer.name
        self._consumer = consumer
        self._broker = broker
        self._gate = gate
        self._lease = lease
        self._keeping: set[asyncio.Task[None]] = set()

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        if not await self._gate.passed():
            return Claim([], None)
        claim = await self._consumer.claim(limit, running, ignore_isolation=ignore_isolation)
        if claim.deliveries:
            leases = [delivery.lease for delivery in claim.deliveries]
            keeping = asyncio.create_task(self._broker.keep(leases, self._lease))
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)
        return claim

    async def wait(self, timeout: float | None, room: int = 0, running: int = 0) -> bool:
        return await self._consumer.wait(timeout)

    async def freed(self, lane: str) -> None:
        await self._consumer.freed(lane)

    async def aclose(self) -> None:
        for keeping in self._keeping:
            keeping.cancel()
        await self._consumer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
