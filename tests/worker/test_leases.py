"""The leases that a worker holds, and the lanes it frees with them."""

import asyncio
from typing import cast

from ltq._worker.leases import LeaseTracker
from ltq.broker import Consumer
from ltq.errors import BrokerError
from tests.worker.doubles import make_delivery, make_lease


class Lanes:
    """A consumer that is told of free lanes."""

    def __init__(self, error: BrokerError | None = None) -> None:
        self.freed_lanes: list[str] = []
        self.error = error
        self.let_through = asyncio.Event()
        self.let_through.set()

    async def freed(self, lane: str) -> None:
        await self.let_through.wait()
        if self.error is not None:
            raise self.error
        self.freed_lanes.append(lane)


def make_leases(lanes: Lanes) -> LeaseTracker:
    return LeaseTracker(cast(Consumer, lanes), ["mail:limited"])


async def test_they_are_held_until_released() -> None:
    leases = make_leases(Lanes())
    leases.hold(make_delivery(1))
    leases.hold(make_delivery(2))
    assert leases.all() == [make_lease(1), make_lease(2)]
    leases.release(make_lease(1))
    leases.release(make_lease(1))
    assert make_lease(1) not in leases
    assert leases.all() == [make_lease(2)]


async def test_with_a_limited_task_its_lane_is_freed_once() -> None:
    lanes = Lanes()
    leases = make_leases(lanes)
    leases.hold(make_delivery(1, task_name="mail:limited"))
    leases.hold(make_delivery(2))
    for number in (1, 1, 2):
        leases.release(make_lease(number))
    assert await leases.drain(5)
    assert lanes.freed_lanes == ["mail:send/mail:limited"]


async def test_a_broker_that_is_away_is_no_error() -> None:
    leases = make_leases(Lanes(BrokerError("away")))
    leases.hold(make_delivery(1, task_name="mail:limited"))
    leases.release(make_lease(1))
    assert await leases.drain(5)


async def test_closed_it_tells_nobody_any_more() -> None:
    lanes = Lanes()
    lanes.let_through.clear()
    leases = make_leases(lanes)
    leases.hold(make_delivery(1, task_name="mail:limited"))
    leases.release(make_lease(1))
    assert not await leases.drain(0.0)
    await leases.aclose()
    lanes.let_through.set()
    assert await leases.drain(5)
    assert lanes.freed_lanes == []
