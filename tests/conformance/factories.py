"""What conformance tests are made of: envelopes, and the few steps all of them take."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ltq._names import new_id
from ltq.broker import Broker, Consumer
from ltq.message import Delivery, Envelope, Published
from tests.eventually import eventually

QUEUE = "mail:send"

T = TypeVar("T")


def make_envelope(**fields: Any) -> Envelope:
    """A task of the queue `mail:send`; `fields` say what is special about it."""
    queue = fields.get("queue", QUEUE)
    defaults: dict[str, Any] = {"id": new_id(), "queue": queue, "task_name": queue, "body": b"{}"}
    return Envelope(**{**defaults, **fields})


async def publish(broker: Broker, **fields: Any) -> Envelope:
    """Publish one task."""
    envelope = make_envelope(**fields)
    assert await broker.publish([envelope]) == [Published.CREATED]
    return envelope


async def publish_many(broker: Broker, count: int, **fields: Any) -> list[str]:
    """Publish tasks in one call; their ids are in the order of publishing."""
    envelopes = [make_envelope(**fields) for _ in range(count)]
    assert await broker.publish(envelopes) == [Published.CREATED] * count
    return [envelope.id for envelope in envelopes]


async def claim_one(broker: Broker, consumer: Consumer) -> Delivery:
    """Claim one task, that is there or is to come within two seconds."""
    (delivery,) = await broker.claim(consumer, 1, timeout=2.0)
    return delivery


async def claim_ids(consumer: Consumer, limit: int, running: int = 0) -> list[str]:
    """The ids one claim gives."""
    return [delivery.lease.id for delivery in (await consumer.claim(limit, running)).deliveries]


async def started(waiting: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start something that waits, and let it come to where it waits.

    No broker tells when it is there: this is long enough as a rule, and never too short to be
    right, as what it waits for may also come before.
    """
    task = asyncio.create_task(waiting)
    await asyncio.wait([task], timeout=0.02)
    return task


async def lose(broker: Broker, delivery: Delivery) -> None:
    """Wait until the lease of a delivery is over and somebody has noticed."""

    async def swept() -> bool:
        swept = await broker.sweep([delivery.lease.queue])
        return swept.recovered + swept.buried == 1

    await eventually(swept, description="the end of a lease")
