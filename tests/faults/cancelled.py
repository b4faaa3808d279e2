"""A call of every public coroutine of LTQ, to be cancelled anywhere.

`CALLS` has them by name; `public_coroutines` finds the names, so that none is forgotten.
"""

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import ltq
import ltq.broker
from ltq.broker import KeptSchedule, ScheduleRecord, ScheduleSlot
from ltq.broker.flows import Arrival, Ready
from ltq.brokers.redis import RedisBroker
from ltq.errors import LtqError
from ltq.handles import CompletedHandles
from ltq.message import Delivery, Envelope, Finish, Outcome, Requeue
from ltq.names import new_id
from ltq.state import Progress, Status
from tests.conformance.factories import make_envelope, make_worker_entry

SEAM = "seam:job"
"""What is sent to this queue is claimed without a worker."""

CLEARED = "seam:cleared"

BRIEFLY = 0.3
"""Seconds that a wait may take if nobody cancels it before."""

_LEASE = 2.0


class Stand:
    """What the calls have in common: a worker that runs, its broker, and what was acknowledged."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self.url = url
        self.chance = chance
        self.broker = RedisBroker(url)
        self.worker = ltq.Worker("soak", broker=self.broker, concurrency=10)
        self.sent: set[tuple[str, str]] = set()
        """Queues and ids of tasks whose sending was acknowledged."""
        self.deliveries: list[Delivery] = []
        """What was claimed from `SEAM` and not ended."""
        self.takes_signals, self.draws = asyncio.Lock(), asyncio.Lock()
        """What one at a time may do: take the process's signals, and draw on the terminal."""
        self._handles: list[ltq.Handle[Any]] = []

        @self.worker.task
        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        @self.worker.task
        async def fail() -> None:
            raise ValueError("on purpose")

        @self.worker.task(max_tries=2, backoff=0.01)
        async def show(steps: int) -> None:
            for step in range(steps):
                await ltq.current().progress(step, steps)

        @self.worker.task(max_tries=2, backoff=0.01)
        async def follow(number: int) -> None:
            await ltq.current().send_after(double.message(number))

        @self.worker.task
        async def letters(count: int) -> AsyncIterator[str]:
            for number in range(count):
                yield "abc"[number % 3]

        self.double, self.fail, self.show = double, fail, show
        self.follow, self.letters = follow, letters

    def acknowledge(self, handle: ltq.Handle[Any]) -> None:
        """A send has come back."""
        self.sent.add((handle.queue, handle.id))
        self._handles = [*self._handles[-200:], handle]

    async def handle(self) -> ltq.Handle[Any]:
        """A task that was sent, perhaps just now."""
        if not self._handles or self.chance.random() < 0.2:
            self.acknowledge(await self.double.send(1))
        return self.chance.choice(self._handles)

    async def delivery(self) -> Delivery:
        """A task of `SEAM` that nobody has ended."""
        if not self.deliveries:
            await self.publish(SEAM)
            async with self.broker.consumer([SEAM], lease=_LEASE) as consumer:
                self.deliveries += (await consumer.claim(2)).deliveries
        if not self.deliveries:
            raise LtqError("somebody else has claimed it")
        return self.deliveries.pop(self.chance.randrange(len(self.deliveries)))

    async def publish(self, queue: str) -> None:
        envelopes = [
            Envelope(id=new_id(), queue=queue, task_name=queue, body=b"[]", has_new_id=True)
            for _ in range(self.chance.choice([1, 3]))
        ]
        await self.broker.publish(envelopes)
        if queue == SEAM:
            self.sent |= {(queue, envelope.id) for envelope in envelopes}

    @asynccontextmanager
    async def clone(self) -> AsyncIterator[ltq.Broker]:
        """A broker of the call's own, closed however the call ends."""
        broker = self.broker.clone()
        try:
            yield broker
        finally:
            await broker.aclose()

    def other(self) -> ltq.Worker:
        """A worker of the call's own, which nobody else uses."""
        worker = ltq.Worker("other", broker=self.broker.clone(), shutdown_timeout=0.1)

        @worker.task
        async def nothing() -> None:
            return None

        return worker


Call = Callable[[Stand], Awaitable[object]]

CALLS: dict[str, Call] = {}


def call(name: str) -> Callable[[Call], Call]:
    """Note the call of a public coroutine."""

    def note(one: Call) -> Call:
        CALLS[name] = one
        return one

    return note


def public_coroutines() -> Iterator[str]:
    """All of them, by class and name. The brokers' roles are told of by `Broker`, which has all."""
    public: dict[str, object] = {
        name: getattr(module, name) for module in (ltq, ltq.broker) for name in module.__all__
    }
    for name, kind in {**public, "CompletedHandles": CompletedHandles}.items():
        if not inspect.isclass(kind):
            if _is_coroutine(kind):
                yield name
        elif not getattr(kind, "_is_protocol", False) or name == "Consumer":
            for member, _value in inspect.getmembers(kind, _is_coroutine):
                if not member.startswith("_") or member.startswith("__a"):
                    yield f"{name}.{member}"


def _ignore(_: str) -> None:
    """What is called for each task that is cancelled."""


async def let_run(calling: "asyncio.Future[object]", seconds: float) -> None:
    """Wait until a call has ended, at most so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.wait([calling])


def _is_coroutine(value: object) -> bool:
    if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
        return True
    result = getattr(value, "__annotations__", {}).get("return", "")
    return str(result).startswith(("AsyncGenerator", "collections.abc.AsyncGenerator"))


# Tasks and their handles


@call("Task.send")
async def _(stand: Stand) -> None:
    stand.acknowledge(await stand.double.send(3))
    stand.acknowledge(await stand.show.send(3))
    stand.acknowledge(await stand.fail.send())


@call("Task.send_many")
async def _(stand: Stand) -> None:
    messages = [stand.double.message(number) for number in range(20)]
    for handle in await stand.double.send_many(messages):
        stand.acknowledge(handle)


@call("Handle.state")
async def _(stand: Stand) -> None:
    await (await stand.handle()).state()


@call("Handle.result")
async def _(stand: Stand) -> None:
    await (await stand.handle()).result(BRIEFLY)


@call("Handle.wait")
async def _(stand: Stand) -> None:
    await (await stand.handle()).wait(BRIEFLY)


@call("Handle.watch")
async def _(stand: Stand) -> None:
    async with aclosing((await stand.handle()).watch(BRIEFLY)) as states:
        async for _state in states:
            pass


@call("Handle.rerun")
async def _(stand: Stand) -> None:
    handle = await stand.fail.send()
    stand.acknowledge(handle)
    await handle.wait(BRIEFLY)
    stand.acknowledge(await handle.rerun())


@call("Handle.cancel")
async def _(stand: Stand) -> None:
    await (await stand.handle()).cancel()


@call("gather")
async def _(stand: Stand) -> None:
    handles = [await stand.handle() for _ in range(3)]
    await ltq.gather(*handles, timeout=BRIEFLY, return_exceptions=True)


@call("CompletedHandles.__aiter__")
async def _(stand: Stand) -> None:
    handles = [await stand.handle() for _ in range(3)]
    async for handle in ltq.as_completed(handles, timeout=BRIEFLY):
        await handle.state()


@call("display")
async def _(stand: Stand) -> None:
    async with stand.draws, asyncio.timeout(BRIEFLY):
        await ltq.display(await stand.handle())


@call("Context.progress")
async def _(stand: Stand) -> None:
    handle = await stand.show.send(20)
    stand.acknowledge(handle)
    await handle.cancel()  # perhaps amid its progress


@call("Context.send_after")
async def _(stand: Stand) -> None:
    handle = await stand.follow.send(1)
    stand.acknowledge(handle)
    await handle.cancel()  # perhaps before what follows it is on its way


# What runs tasks


@call("Worker.run")
async def _(stand: Stand) -> None:
    worker = stand.other()
    try:
        async with stand.takes_signals:
            await worker.run(burst=True)
    finally:
        await worker.aclose()


@call("Worker.__aenter__")
@call("Worker.__aexit__")
async def _(stand: Stand) -> None:
    worker = stand.other()
    try:
        async with worker:
            await worker.broker.ping()
    finally:
        await worker.aclose()


@call("Worker.aclose")
async def _(stand: Stand) -> None:
    worker = stand.other()
    try:
        await worker.broker.queues()
        await worker.aclose()
    finally:
        await worker.aclose()


@call("App.run")
async def _(stand: Stand) -> None:
    worker, app = stand.other(), ltq.App()
    app.register_worker(worker)
    async with stand.takes_signals:
        await app.run(burst=True)


@call("App.__aenter__")
@call("App.__aexit__")
async def _(stand: Stand) -> None:
    worker, app = stand.other(), ltq.App()
    app.register_worker(worker)
    try:
        async with app:
            await worker.broker.ping()
    finally:
        await worker.aclose()


@call("Scheduler.run")
@call("Scheduler.stop")
async def _(stand: Stand) -> None:
    scheduler = ltq.Scheduler(broker=stand.broker.clone())
    try:
        async with stand.takes_signals:
            running: asyncio.Future[object] = asyncio.ensure_future(scheduler.run())
            try:
                await let_run(running, stand.chance.random() * 0.1)
                await scheduler.stop()
            finally:
                running.cancel()
                await asyncio.wait([running])
    finally:
        await scheduler.broker.aclose()


@call("Scheduler.__aenter__")
@call("Scheduler.__aexit__")
async def _(stand: Stand) -> None:
    scheduler = ltq.Scheduler(stand.url)
    scheduler.cron("* * * * * *", stand.double.message(1), name="soak")
    try:
        async with scheduler:
            await scheduler.broker.ping()
    finally:
        await scheduler.broker.aclose()


@call("Scheduler.list")
@call("Scheduler.pause")
@call("Scheduler.resume")
@call("Scheduler.trigger")
@call("Scheduler.remove")
async def _(stand: Stand) -> None:
    scheduler = ltq.Scheduler(broker=stand.broker)
    await scheduler.put("kept", "0 0 1 1 *", stand.double.message(1))
    await scheduler.pause("kept")
    await scheduler.resume("kept")
    await scheduler.list()
    await scheduler.trigger("kept")
    await scheduler.remove("kept")


@call("EventReader.__anext__")
@call("EventReader.aclose")
async def _(stand: Stand) -> None:
    events = stand.worker.events()
    try:
        async with asyncio.timeout(BRIEFLY):
            await anext(events)
    finally:
        await events.aclose()


# The broker


@call("Broker.__aenter__")
@call("Broker.__aexit__")
async def _(stand: Stand) -> None:
    async with stand.broker.clone() as broker:
        await broker.ping()
        feed = broker.feed(SEAM, new_id())
        await feed.get(BRIEFLY)


@call("Broker.aclose")
async def _(stand: Stand) -> None:
    broker = stand.broker.clone()
    closing: set[asyncio.Task[None]] = set()
    try:
        await broker.publish([Envelope(id=new_id(), queue=CLEARED, task_name=CLEARED, body=b"")])
        broker.feed(CLEARED, new_id())
        for _ in range(3):  # each is cancelled somewhere
            closing.add(asyncio.create_task(broker.aclose()))
            await asyncio.sleep(0)
            closing.copy().pop().cancel()
    finally:
        await asyncio.gather(*closing, return_exceptions=True)
        await broker.aclose()


@call("Feed.get")
async def _(stand: Stand) -> None:
    feed = stand.broker.feed(SEAM, (await stand.handle()).id)
    try:
        await feed.get(BRIEFLY)
    finally:
        feed.close()


@call("Broker.watch")
async def _(stand: Stand) -> None:
    handle = await stand.handle()
    watched = stand.broker.watch(handle.queue, handle.id, timeout=BRIEFLY)
    async with aclosing(watched) as states:
        async for _state in states:
            pass


@call("Broker.wait")
async def _(stand: Stand) -> None:
    handle = await stand.handle()
    await stand.broker.wait(handle.queue, handle.id, timeout=BRIEFLY)


@call("Broker.publish")
async def _(stand: Stand) -> None:
    await stand.publish(stand.chance.choice([SEAM, CLEARED]))


@call("Broker.claim")
async def _(stand: Stand) -> None:
    async with stand.broker.consumer([SEAM], lease=_LEASE, revoked=_ignore) as consumer:
        stand.deliveries += await stand.broker.claim(consumer, 3, timeout=BRIEFLY)


@call("Consumer.claim")
@call("Consumer.__aenter__")
@call("Consumer.__aexit__")
@call("Consumer.aclose")
async def _(stand: Stand) -> None:
    await stand.publish(SEAM)
    async with stand.broker.consumer([SEAM, CLEARED], lease=_LEASE) as consumer:
        for _ in range(2):
            claim = await consumer.claim(2)
            stand.deliveries += [one for one in claim.deliveries if one.lease.queue == SEAM]
    with suppress(LtqError):
        await consumer.aclose()


@call("Consumer.wait")
async def _(stand: Stand) -> None:
    async with stand.broker.consumer([SEAM], revoked=_ignore) as consumer:
        await consumer.wait(BRIEFLY)
        await consumer.wait(0)


@call("Consumer.freed")
async def _(stand: Stand) -> None:
    async with stand.broker.consumer([SEAM]) as consumer:
        await consumer.freed(SEAM)


@call("Broker.finish")
async def _(stand: Stand) -> None:
    lease = (await stand.delivery()).lease
    outcomes: list[Outcome] = [Requeue(lease, front=True), Finish(lease, Status.COMPLETED)]
    await stand.broker.finish([stand.chance.choice(outcomes)])


@call("Broker.requeue")
async def _(stand: Stand) -> None:
    await stand.broker.requeue((await stand.delivery()).lease, delay=0.05)


@call("Broker.release")
async def _(stand: Stand) -> None:
    await stand.broker.release((await stand.delivery()).lease)


@call("Broker.heartbeat")
async def _(stand: Stand) -> None:
    delivery = await stand.delivery()
    stand.deliveries.append(delivery)
    await stand.broker.heartbeat([delivery.lease], _LEASE)


@call("Broker.progress")
async def _(stand: Stand) -> None:
    delivery = await stand.delivery()
    stand.deliveries.append(delivery)
    await stand.broker.progress(delivery.lease, Progress(1, 2, ""))


@call("Broker.append")
async def _(stand: Stand) -> None:
    delivery = await stand.delivery()
    stand.deliveries.append(delivery)
    await stand.broker.append(delivery.lease, 0, [b"1", b"2"], 10)


@call("Broker.items")
async def _(stand: Stand) -> None:
    await stand.broker.items(SEAM, (await stand.handle()).id)


@call("Broker.cancel")
async def _(stand: Stand) -> None:
    handle = await stand.handle()
    await stand.broker.cancel(handle.queue, handle.id, 3600.0)


@call("Broker.fire")
async def _(stand: Stand) -> None:
    now = int(await stand.broker.time())
    envelope = Envelope(id=new_id(), queue=CLEARED, task_name=CLEARED, body=b"")
    slot = ScheduleSlot(
        schedule="soak",
        queue=CLEARED,
        spec="* * * * *",
        after=now - 60,
        slot=now,
        due=now + 60,
        envelope=envelope,
    )
    await stand.broker.fire(slot)


def _plain(name: str, work: Callable[[Stand, ltq.Broker], Awaitable[object]]) -> None:
    """A call that only reads or tidies, half the time on a broker of its own."""

    async def plain(stand: Stand) -> None:
        if stand.chance.random() < 0.5:
            await work(stand, stand.broker)
        else:
            async with stand.clone() as broker:
                await work(stand, broker)

    CALLS[f"Broker.{name}"] = plain


async def _known(stand: Stand) -> tuple[str, str]:
    handle = await stand.handle()
    return handle.queue, handle.id


async def _state(stand: Stand, broker: ltq.Broker) -> None:
    await broker.state(*await _known(stand))


async def _states(stand: Stand, broker: ltq.Broker) -> None:
    queue, task_id = await _known(stand)
    await broker.states(queue, [task_id, new_id()])


async def _body(stand: Stand, broker: ltq.Broker) -> None:
    await broker.body(*await _known(stand))


async def _dead_letter(stand: Stand, broker: ltq.Broker) -> None:
    await broker.dead_letter(None, (await _known(stand))[1])


async def _replay(stand: Stand, broker: ltq.Broker) -> None:
    letters = await broker.dead_letters(stand.fail.queue, limit=3)
    await broker.replay(stand.fail.queue, [letter.id for letter in letters])


async def _stats(stand: Stand, broker: ltq.Broker) -> None:
    await broker.stats(await broker.queues())


async def _move(stand: Stand, broker: ltq.Broker, *calls: str) -> None:
    """Hand a task to another store and take it back, as far as these calls go."""
    envelope = make_envelope(queue=CLEARED)
    await broker.publish([envelope])
    parcels = [one for one in await broker.pack(CLEARED, [envelope.id]) if one is not None]
    for name in calls:
        await getattr(broker, name)(parcels)


_KEPT = KeptSchedule(
    name="cleared",
    expr="0 0 1 1 *",
    tz="UTC",
    misfire="once",
    envelope=make_envelope(id="", queue=CLEARED),
)

_TAKEN = ScheduleRecord(
    name=_KEPT.name,
    namespace="seam",
    spec=_KEPT.spec,
    put=_KEPT.digest,
    schedule=_KEPT,
    last=2**30,
)

_plain("ping", lambda _, broker: broker.ping())
_plain("hazards", lambda _, broker: broker.hazards())
_plain("migrate", lambda _, broker: broker.migrate())
_plain("first", lambda _, broker: broker.first(SEAM, "none"))
_plain("sweep", lambda _, broker: broker.sweep([SEAM]))
_plain("serve", lambda _, broker: broker.serve([CLEARED], 1.0))
_plain("announce", lambda _, broker: broker.announce(make_worker_entry()))
_plain("leave", lambda _, broker: broker.leave(make_worker_entry()))
_plain("served", lambda _, broker: broker.served([SEAM, CLEARED]))
_plain("repair", lambda _, broker: broker.repair([SEAM]))
_plain("state", _state)
_plain("states", _states)
_plain("body", _body)
_plain("queues", lambda _, broker: broker.queues())
_plain("stats", _stats)
_plain("clear", lambda _, broker: broker.clear(CLEARED))
_plain("pause", lambda _, broker: broker.pause(CLEARED))
_plain("resume", lambda _, broker: broker.resume(CLEARED))
_plain("promote", lambda _, broker: broker.promote(CLEARED, [new_id()]))
_plain("endings", lambda _, broker: broker.endings(CLEARED))
_plain("carried", lambda _, broker: broker.carried(CLEARED, ["nobody 1"]))
_plain("arrive", lambda _, broker: broker.arrive(CLEARED, [Arrival(new_id(), 0, 1)]))
_plain("held", lambda _, broker: broker.held(CLEARED, new_id(), [0]))
_plain("ctx", lambda _, broker: broker.ctx(CLEARED, new_id()))
_plain("go_on", lambda _, broker: broker.go_on(CLEARED, new_id(), Ready(body=b"{}")))
_plain("cancel_each", lambda _, broker: broker.cancel_each(CLEARED, [new_id()], 60.0))
_plain("restart", lambda _, broker: broker.restart(CLEARED, [new_id()], held=False))
_plain("cancel_many", lambda _, broker: broker.cancel_many(CLEARED))
_plain("rerun", lambda _, broker: broker.rerun(CLEARED, []))
_plain("pack", lambda stand, broker: _move(stand, broker))
_plain("pack_dead", lambda stand, broker: broker.pack_dead(stand.fail.queue, [new_id()]))
_plain("drop", lambda stand, broker: _move(stand, broker, "drop"))
_plain("adopt", lambda stand, broker: _move(stand, broker, "drop", "adopt"))
_plain("find", lambda _, broker: broker.find(new_id()))
_plain("tasks", lambda _, broker: broker.tasks(SEAM))
_plain("workers", lambda _, broker: broker.workers())
_plain("examine", lambda _, broker: broker.examine(scan=100))
_plain("dead_letters", lambda stand, broker: broker.dead_letters(stand.fail.queue))
_plain("dead_letter", _dead_letter)
_plain("replay", _replay)
_plain("purge", lambda stand, broker: broker.purge(stand.fail.queue, older_than=60.0))
_plain("time", lambda _, broker: broker.time())
_plain("history", lambda _, broker: broker.history(SEAM))
_plain("put_schedule", lambda _, broker: broker.put_schedule(_KEPT, 2**31))
_plain("adopt_schedule", lambda _, broker: broker.adopt_schedule(_TAKEN, 2**31))
_plain("remove_schedule", lambda _, broker: broker.remove_schedule(CLEARED, _KEPT.name))
_plain("pause_schedule", lambda _, broker: broker.pause_schedule(CLEARED, _KEPT.name))
_plain("resume_schedule", lambda _, broker: broker.resume_schedule(CLEARED, _KEPT.name))
_plain("schedule_marks", lambda _, broker: broker.schedule_marks())
_plain("changed_schedules", lambda _, broker: broker.changed_schedules(CLEARED, 0))
_plain("schedules", lambda _, broker: broker.schedules([_KEPT.name]))
