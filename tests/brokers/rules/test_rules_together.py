"""What a store reads of many queues, lanes or keys in one call: exactly that of each."""

from ltq.message import Finish
from ltq.options import Priority
from ltq.state import Status
from tests.brokers.rules.stand import LEASE, Stand

A, B, EMPTY = "mail:a", "mail:b", "mail:empty"
ALL = [A, EMPTY, B, A]
LANE = f"{A}/mail:other"


def test_the_first_delayed_task_of_each_queue(stand: Stand) -> None:
    for delay in (7.0, 3.0, 5.0):
        stand.publish_all(f"a{delay}", queue=A, delay=delay)
        stand.publish_all(f"b{delay}", queue=B, delay=delay + 1.0, lane=f"{B}/x")
    stand.publish_all("ready", queue=EMPTY)
    assert stand.places.queues.first_delayed(ALL) == {A: 1003.0, B: 1004.0}
    stand.places.records.remove(stand.record("a3.0"))
    assert stand.places.queues.first_delayed(ALL) == {A: 1005.0, B: 1004.0}
    assert stand.places.queues.first_delayed([]) == {}


def test_the_leases_that_have_ended(stand: Stand) -> None:
    stand.publish_all("a1", "a2", queue=A)
    stand.publish_all("b1", queue=B)
    assert stand.claim_ids(lanes=(A, B)) == ["a1", "b1", "a2"]
    end = stand.now + LEASE
    queues = stand.places.queues
    assert queues.ended_leases(end) == {}
    assert queues.ended_leases(end + 1.0) == {A: [end, end], B: [end]}


def test_counts_follow_each_move_after_they_were_read(stand: Stand) -> None:
    queues = stand.places.queues
    stand.publish_all("a1", queue=A, delay=9.0)
    queues.load(ALL)
    stand.publish_all("a2", queue=A, delay=9.0)
    stand.publish_all("b1", queue=B, delay=9.0)
    queues.load(ALL)
    assert [queues.count(each, Status.DELAYED) for each in (A, B, EMPTY)] == [2, 1, 0]
    stand.places.records.remove(stand.record("a1"))
    assert [queues.count(each, Status.DELAYED) for each in (A, B, EMPTY)] == [1, 1, 0]


def test_lanes_that_come_after_they_were_read(stand: Stand) -> None:
    lanes = stand.places.lanes
    stand.publish_all("a1", queue=A)
    lanes.load(ALL)
    stand.publish_all("a2", queue=A, lane=LANE)
    lanes.load(ALL)
    names = [sorted(lane.name for lane in lanes.of(each)) for each in (A, B, EMPTY)]
    assert names == [[A, LANE], [], []]


def test_since_when_the_first_in_any_line_of_a_lane_waits(stand: Stand) -> None:
    for task_id, priority in (("n1", Priority.NORMAL), ("l1", Priority.LOW), ("h1", Priority.HIGH)):
        stand.publish_all(task_id, queue=A, priority=priority)
        stand.now += 1.0
    stand.publish_all("n2", queue=A, lane=LANE)
    lanes = stand.places.lanes.get([A, LANE])
    assert stand.places.lanes.waiting_since(lanes) == {A: 1000.0, LANE: 1003.0}
    stand.places.records.remove(stand.record("n1"))
    assert stand.places.lanes.waiting_since(lanes) == {A: 1001.0, LANE: 1003.0}
    stand.places.records.remove(stand.record("n2"))
    assert stand.places.lanes.waiting_since(lanes) == {A: 1001.0}


def test_dead_letters_and_ends_of_each_queue(stand: Stand) -> None:
    stand.publish_all("a1", "a2", queue=A)
    stand.publish_all("b1", queue=B)
    leases = [one.lease for one in stand.claim(lanes=(A, B)).deliveries]
    stand.finish(*(Finish(lease, Status.FAILED, dead=True) for lease in leases))
    dead, ends = stand.places.dead, stand.places.end_counts
    some = {queue: many for queue, many in dead.counts(ALL, stand.now - 1.0).items() if many}
    assert some == {A: 2, B: 1}
    assert not any(dead.counts(ALL, stand.now).values())
    step = int(stand.now // 2)
    assert ends.totals(ALL, step, step) == {A: 2, B: 1}
    assert not any(ends.totals(ALL, step - 9, step - 1).values())


def test_values_of_several_keys(stand: Stand) -> None:
    served = stand.places.served
    served.set(A, 1.0, expires=1010.0, now=1000.0)
    served.set(B, 2.0, expires=1020.0, now=1000.0)
    stand.places.fingerprints.set(EMPTY, "other kind", expires=1020.0, now=1000.0)
    assert served.several(ALL, 1000.0) == {A: 1.0, B: 2.0}
    assert served.several(ALL, 1010.0) == {B: 2.0}
    assert served.several([B], 1000.0) == {B: 2.0}
    assert served.several([], 1000.0) == {}
