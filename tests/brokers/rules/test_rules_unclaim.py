"""Claims that nobody got."""

from dataclasses import replace

from ltq.brokers._rules import history
from ltq.brokers._rules.unclaim import unclaim
from ltq.message import Finish, Lease, Receipt, Requeue
from ltq.state import Durations, Status
from tests.brokers.rules.stand import QUEUE, Stand


def unclaimed(stand: Stand, *leases: Lease) -> list[bool]:
    return unclaim(stand.places, leases, stand.now)


def test_its_tasks_wait_in_front_in_their_order(stand: Stand) -> None:
    stand.publish_all("1", "2", "3", "4")
    leases = [one.lease for one in stand.claim(3).deliveries]
    assert unclaimed(stand, *reversed(leases)) == [True] * 3
    assert stand.claim_ids() == ["1", "2", "3", "4"]


def test_it_counts_for_nothing(stand: Stand) -> None:
    lease = stand.lease("1")
    assert unclaimed(stand, lease) == [True]
    record = stand.record("1")
    assert (record.status, record.dequeue_count, record.requeue_count) == (Status.PENDING, 0, 0)
    assert (record.deaths, record.last_dequeue_time, record.worker) == (0, None, None)
    (minute,) = history.minutes(stand.places, QUEUE, 1, stand.now)
    assert minute.wait == Durations()


def test_what_was_delivered_before_stays_known(stand: Stand) -> None:
    lease = stand.lease("1")
    stand.finish(Requeue(lease))
    assert unclaimed(stand, stand.claim_again("1")) == [True]
    record = stand.record("1")
    assert (record.dequeue_count, record.requeue_count, record.worker) == (1, 1, "w")


def test_its_lease_is_void(stand: Stand) -> None:
    lease = stand.lease("1")
    unclaimed(stand, lease)
    assert stand.finish(Finish(lease, Status.COMPLETED)) == [Receipt.STALE]
    assert unclaimed(stand, lease) == [False]
    assert stand.claim_ids() == ["1"]


def test_what_is_not_held_any_more_is_left_alone(stand: Stand) -> None:
    lease = stand.lease("1")
    stand.finish(Finish(lease, Status.COMPLETED))
    assert unclaimed(stand, lease, Lease("2", QUEUE, 7)) == [False, False]
    assert stand.record("1").status is Status.COMPLETED


def test_where_no_history_is_kept_none_is_changed(stand: Stand) -> None:
    lease = stand.lease("1")
    stand.places = replace(stand.places, history=None)
    assert unclaimed(stand, lease) == [True]
    assert stand.record("1").status is Status.PENDING
