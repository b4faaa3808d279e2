"""In which order a claim in memory looks at the lanes of a namespace, and how many it looks at."""

from collections.abc import AsyncIterator
from heapq import heappop

import pytest

from ltq.brokers._rules.places import Lane
from ltq.brokers._rules.record import Record
from ltq.brokers.memory._lanes import MemoryLane, MemoryLanes
from ltq.brokers.memory.broker import MemoryBroker
from ltq.message import Envelope
from ltq.options import Priority
from tests.conformance.factories import make_envelope

LEVEL = Priority.NORMAL


def record(lane: str) -> Record:
    return Record(envelope=make_envelope(queue=lane, task_name=lane), enqueue_time=1.0)


def wait_in(lanes: MemoryLanes, name: str, count: int = 1) -> MemoryLane:
    for _ in range(count):
        lanes.add(record(name), front=False)
    return lanes.own(name)


def empty(lanes: MemoryLanes, lane: MemoryLane) -> None:
    for one in lanes.first(lane, LEVEL, 1000):
        lane.discard(one)
    lanes.leave(lane)


def serve(lanes: MemoryLanes, token: int, most: int = 1000) -> list[str]:
    """Take a task of each lane, as a claim does, until that are so many. Returns the lanes."""
    waiting = lanes.in_turn(LEVEL)
    seen: list[Lane] = []
    while len(seen) < most and (lane := next(waiting, None)) is not None:
        seen.append(lane)
        lane.served[LEVEL] = token
        token += 1
        lanes.own(lane.name).discard(lanes.first(lane, LEVEL, 1)[0])
    waiting.close()
    return [lane.name for lane in seen]


class TestTurns:
    def test_the_lane_served_longest_ago_comes_first(self) -> None:
        lanes = MemoryLanes()
        for name in ("m:a", "m:b", "m:c"):
            wait_in(lanes, name, 5)
        assert serve(lanes, 1, most=2) == ["m:a", "m:b"]
        assert serve(lanes, 3, most=2) == ["m:c", "m:a"]
        assert serve(lanes, 5) == ["m:b", "m:c", "m:a"]

    def test_an_empty_one_has_no_turn(self) -> None:
        lanes = MemoryLanes()
        first = wait_in(lanes, "m:a", 2)
        wait_in(lanes, "m:b")
        empty(lanes, first)
        assert serve(lanes, 1) == ["m:b"]
        assert serve(lanes, 2) == []
        wait_in(lanes, "m:a")
        assert serve(lanes, 3) == ["m:a"]

    def test_one_that_comes_meanwhile_waits_for_the_next_claim(self) -> None:
        lanes = MemoryLanes()
        wait_in(lanes, "m:a")
        waiting = lanes.in_turn(LEVEL)
        assert next(waiting).name == "m:a"
        wait_in(lanes, "m:b")
        assert [*waiting] == []
        assert serve(lanes, 1) == ["m:a", "m:b"]

    def test_priorities_have_turns_of_their_own(self) -> None:
        lanes = MemoryLanes()
        urgent = make_envelope(queue="m:a", task_name="m:a", priority=Priority.HIGH)
        lanes.add(Record(envelope=urgent, enqueue_time=1.0), front=True)
        assert serve(lanes, 1) == []
        assert [lane.name for lane in lanes.in_turn(Priority.HIGH)] == ["m:a"]

    def test_lanes_that_are_forgotten_leave_nothing(self) -> None:
        lanes = MemoryLanes()
        kept = wait_in(lanes, "m:a", 2)
        for number in range(1000):
            empty(lanes, wait_in(lanes, f"m:a/{number}"))
        assert len(lanes._turns[LEVEL]) < 10
        assert serve(lanes, 1) == [kept.name]

    def test_one_that_was_emptied_for_a_while_is_there_once(self) -> None:
        lanes = MemoryLanes()
        for _ in range(100):
            empty(lanes, wait_in(lanes, "m:a"))
            empty(lanes, wait_in(lanes, "m:b"))
        wait_in(lanes, "m:a", 3)
        assert serve(lanes, 1) == ["m:a"]
        assert serve(lanes, 2) == ["m:a"]


@pytest.fixture
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[MemoryBroker]:
    async with MemoryBroker(f"memory://{request.node.name}") as broker:
        yield broker


async def test_a_claim_looks_at_as_many_lanes_as_it_has_room_for(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = [f"turns:q{number}" for number in range(200)]
    envelopes: list[Envelope] = [make_envelope(queue=one, task_name=one) for one in queues]
    await broker.publish(envelopes)
    looked_at: list[str] = []
    first = MemoryLanes.first

    def note(lanes: MemoryLanes, lane: Lane, level: Priority, limit: int) -> list[Record]:
        looked_at.append(lane.name)
        return first(lanes, lane, level, limit)

    monkeypatch.setattr(MemoryLanes, "first", note)
    async with broker.consumer(queues) as consumer:
        for part in (queues[:5], queues[5:10]):
            claim = await consumer.claim(5)
            assert [one.lease.queue for one in claim.deliveries] == part
    assert looked_at == queues[:10]


async def test_who_serves_one_of_many_lanes_looks_at_few_others(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = [f"turns:q{number}" for number in range(200)]
    await broker.publish([make_envelope(queue=one, task_name=one) for one in queues])
    popped: list[object] = []

    def pop(turns: list[object]) -> object:
        popped.append(turns)
        return heappop(turns)  # type: ignore[type-var]  # as it is given

    monkeypatch.setattr("ltq.brokers.memory._lanes.heappop", pop)
    async with broker.consumer([queues[150]]) as consumer:
        (delivery,) = (await consumer.claim(5)).deliveries
    assert delivery.lease.queue == queues[150]
    assert len(popped) < 10
