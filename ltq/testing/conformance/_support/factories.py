"""Envelopes, and the steps that many tests of the suite share."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from ltq.broker import Broker, Consumer, WorkerEntry
from ltq.handle import Handle
from ltq.message import Delivery, Envelope, Published, new_id
from ltq.state import TaskState
from ltq.testing.conformance._support.eventually import PATIENCE, SOON, eventually
from ltq.worker import Worker

QUEUE = "mail:send"

T = TypeVar("T")

_ROUND_TRIPS = 6
"""More round trips than it takes to open a connection and to send a command."""


def make_envelope(**fields: Any) -> Envelope:
    """A task of the queue `mail:send`. `fields` replace the defaults."""
    queue = fields.get("queue", QUEUE)
    defaults: dict[str, Any] = {"id": new_id(), "queue": queue, "task_name": queue, "body": b"{}"}
    return Envelope(**{**defaults, **fields})


def make_worker_entry(**fields: Any) -> WorkerEntry:
    """What a worker of the queue `mail:send` tells about itself. `fields` replace the defaults."""
    defaults = WorkerEntry(
        name="host-1-abcd",
        host="host",
        pid=1,
        version="1.0",
        queues=(QUEUE,),
        concurrency=10,
        started=1e9,
        silent_after=15.0,
        gone_after=150.0,
    )
    return replace(defaults, **fields)


async def publish(broker: Broker, **fields: Any) -> Envelope:
    """Publish one task."""
    envelope = make_envelope(**fields)
    assert await broker.publish([envelope]) == [Published.CREATED]
    return envelope


async def publish_many(broker: Broker, count: int, **fields: Any) -> list[str]:
    """Publish tasks in one call. Returns their ids in the order of publishing."""
    envelopes = [make_envelope(**fields) for _ in range(count)]
    assert await broker.publish(envelopes) == [Published.CREATED] * count
    return [envelope.id for envelope in envelopes]


async def claim_one(broker: Broker, consumer: Consumer) -> Delivery:
    """Claim one task that is ready now or soon."""
    (delivery,) = await broker.claim(consumer, 1, timeout=SOON)
    return delivery


async def claim_ids(consumer: Consumer, limit: int, running: int = 0) -> list[str]:
    """The ids that one claim returns."""
    return [delivery.lease.id for delivery in (await consumer.claim(limit, running)).deliveries]


async def started(broker: Broker, waiting: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start something that waits, and let it run to the point where it waits.

    A broker does not tell when a wait has begun: see `reached`.
    """
    task = asyncio.create_task(waiting)
    await reached(broker)
    return task


async def reached(broker: Broker) -> None:
    """Let the calls that are under way reach the store.

    Other calls take the same way, so after several of them have been answered, those before have
    arrived as well. If that is not true of a store, the test becomes easier to pass, never harder.
    """
    for _ in range(_ROUND_TRIPS):
        await asyncio.sleep(0)
        await broker.states(QUEUE, ["nothing"])


async def lose(broker: Broker, delivery: Delivery) -> None:
    """Wait until the lease of a delivery is over and a sweep has taken the task back."""

    async def swept() -> bool:
        swept = await broker.sweep([delivery.lease.queue])
        return swept.recovered + swept.buried == 1

    await eventually(swept, description="the end of a lease")


async def lose_all(broker: Broker, consumer: Consumer, ids: Sequence[str]) -> None:
    """Let a worker die under these tasks, the only ones that are ready.

    `consumer` has a short lease.
    """
    assert sorted(await claim_ids(consumer, len(ids))) == sorted(ids)
    recovered = 0

    async def all_are_back() -> bool:
        nonlocal recovered
        recovered += (await broker.sweep([QUEUE])).recovered
        return recovered == len(ids)

    await eventually(all_are_back, description="the end of the leases")


async def run_until_final(worker: Worker, *handles: Handle[Any]) -> list[TaskState[Any]]:
    """Run a worker until these tasks have ended. Returns their final states."""
    async with worker:
        return list(await asyncio.gather(*(handle.wait(PATIENCE) for handle in handles)))
