"""What a claim gives, and in which order."""

import pytest

from ltq.broker import ConsumerConfig
from ltq.brokers._rules.claim import next_claim
from ltq.brokers._rules.constants import LANES_AT_ONCE, RECHECK
from ltq.brokers._rules.limits import next_start, spend
from ltq.brokers._rules.places import Lane
from ltq.message import Finish, Requeue
from ltq.options import Limit, Priority, Rate
from ltq.state import Status
from tests.brokers.rules.stand import LEASE, QUEUE, Stand

OTHER = "mail:other"
BOTH = (QUEUE, OTHER)
TWENTY_A_SECOND = {QUEUE: Limit(Rate(20, 1.0))}
TWO_AT_ONCE = {QUEUE: Limit(running=2)}


class TestOrder:
    def test_first_in_first_out(self, stand: Stand) -> None:
        stand.publish_all("a", "b", "c")
        assert stand.claim_ids(2) == ["a", "b"]
        assert stand.claim_ids() == ["c"]

    def test_priorities_are_strict_over_all_lanes(self, stand: Stand) -> None:
        stand.publish_all("low", priority=Priority.LOW)
        stand.publish_all("normal", queue=OTHER)
        stand.publish_all("high", priority=Priority.HIGH)
        assert stand.claim_ids(lanes=BOTH) == ["high", "normal", "low"]

    def test_lanes_take_turns_and_the_one_served_longest_ago_goes_first(self, stand: Stand) -> None:
        stand.publish_all("a1", "a2", "a3")
        stand.publish_all("b1", "b2", "b3", queue=OTHER)
        assert stand.claim_ids(1, lanes=BOTH) == ["a1"]
        assert stand.claim_ids(3, lanes=BOTH) == ["b1", "a2", "b2"]
        assert stand.claim_ids(lanes=BOTH) == ["a3", "b3"]

    def test_few_lanes_at_once_take_turns_within_a_claim(self, stand: Stand) -> None:
        lanes = tuple(f"mail:q{number}" for number in range(LANES_AT_ONCE + 3))
        for lane in lanes:
            stand.publish_all(f"{lane}-1", f"{lane}-2", f"{lane}-3", queue=lane)
        given = stand.claim_ids(2 * LANES_AT_ONCE, lanes=lanes)
        first = lanes[:LANES_AT_ONCE]
        assert given == [f"{lane}-{turn}" for turn in (1, 2) for lane in first]
        given = stand.claim_ids(LANES_AT_ONCE, lanes=lanes)
        assert given[:3] == [f"{lane}-1" for lane in lanes[LANES_AT_ONCE:]]

    def test_another_lane_comes_in_for_one_that_gives_no_more(self, stand: Stand) -> None:
        lanes = tuple(f"mail:q{number}" for number in range(3 * LANES_AT_ONCE))
        for number, lane in enumerate(lanes):
            stand.publish_all(f"id{number}", queue=lane)
        assert stand.claim_ids(1000, lanes=lanes) == [f"id{n}" for n in range(len(lanes))]

    def test_what_comes_back_in_front_goes_first(self, stand: Stand) -> None:
        lease = stand.lease("a")
        stand.publish_all("b")
        stand.finish(Requeue(lease, front=True))
        assert stand.claim_ids() == ["a", "b"]

    def test_what_is_due_is_ready_first(self, stand: Stand) -> None:
        stand.publish_all("a", delay=5.0)
        assert stand.claim_ids() == []
        stand.now += 5.0
        assert stand.claim_ids() == ["a"]
        assert stand.record("a").requeue_count == 0
        assert stand.record("a").last_requeue_time == stand.now


class TestLease:
    def test_it_is_given_to_the_consumer(self, stand: Stand) -> None:
        stand.publish_all("a")
        (delivery,) = stand.claim().deliveries
        record = stand.record("a")
        assert record.is_held_by(delivery.lease)
        assert (record.worker, record.when) == ("w", stand.now + LEASE)
        assert (record.dequeue_count, record.last_dequeue_time) == (1, stand.now)
        assert stand.told.words[-1] == "a working"

    def test_tokens_grow_whatever_the_clock_does(self, stand: Stand) -> None:
        first = stand.lease("a")
        stand.now -= 500.0
        stand.finish(Requeue(first))
        assert stand.claim_again("a").token > first.token
        assert stand.lease("b").token > first.token


class TestNextClaim:
    def test_nothing_is_known_of_an_empty_namespace(self, stand: Stand) -> None:
        assert stand.claim().due_in is None
        assert self.next_claim(stand) is None

    def test_a_due_time_and_the_end_of_a_lease_are(self, stand: Stand) -> None:
        stand.lease("a")
        assert stand.claim().due_in == LEASE
        stand.publish_all("b", delay=5.0)
        assert stand.claim().due_in == self.next_claim(stand) == 5.0

    def test_what_is_ready_can_be_claimed_now(self, stand: Stand) -> None:
        stand.publish_all("a")
        assert self.next_claim(stand) == 0.0

    @staticmethod
    def next_claim(stand: Stand) -> float | None:
        consumer = ConsumerConfig(lanes=(QUEUE,), lease=LEASE)
        return next_claim({"mail": stand.places}, consumer, stand.now)


class TestRate:
    def test_a_burst_then_one_an_interval(self, stand: Stand) -> None:
        stand.publish_all("a", "b", "c", "d")
        claim = stand.claim(limits=TWENTY_A_SECOND)
        assert len(claim.deliveries) == 2
        assert claim.start_in == claim.due_in == pytest.approx(0.05)
        stand.now += 0.05
        assert stand.claim_ids(limits=TWENTY_A_SECOND) == ["c"]

    def test_a_limited_lane_holds_up_no_other(self, stand: Stand) -> None:
        stand.publish_all("a", "b", "c")
        stand.publish_all("d", queue=OTHER)
        assert stand.claim_ids(lanes=BOTH, limits=TWENTY_A_SECOND) == ["a", "d", "b"]

    def test_without_a_limit_a_lane_may_start_at_any_time(self) -> None:
        assert next_start(Lane("l"), Limit(), 1000.0) < 0

    def test_an_allowance_that_was_not_used_is_not_saved(self) -> None:
        lane, rate = Lane("l"), Rate(20, 1.0)
        for _ in range(2):
            spend(lane, rate, 1000.0)
        assert next_start(lane, Limit(rate), 1000.0) == pytest.approx(1000.05)
        for _ in range(2):
            spend(lane, rate, 2000.0)
        assert next_start(lane, Limit(rate), 2000.0) == pytest.approx(2000.05)


class TestMaxRunning:
    def test_no_more_than_so_many_run(self, stand: Stand) -> None:
        stand.publish_all("a", "b", "c")
        claim = stand.claim(limits=TWO_AT_ONCE)
        assert [one.lease.id for one in claim.deliveries] == ["a", "b"]
        assert claim.start_in == RECHECK
        assert stand.claim_ids(limits=TWO_AT_ONCE) == []

    @pytest.mark.parametrize("is_requeued", [False, True])
    def test_one_that_ends_makes_room(self, stand: Stand, is_requeued: bool) -> None:
        stand.publish_all("a", "b", "c")
        lease = stand.claim(limits=TWO_AT_ONCE).deliveries[0].lease
        outcome = Requeue(lease, delay=9.0) if is_requeued else Finish(lease, Status.COMPLETED)
        stand.finish(outcome)
        assert f"freed {QUEUE}" in stand.told.words
        assert stand.claim_ids(limits=TWO_AT_ONCE) == ["c"]


class TestIsolation:
    @pytest.fixture
    def stand(self, stand: Stand) -> Stand:
        """One where `a` has a single death left, and `b` and `c` wait behind it."""
        stand.publish_all("a", max_deliveries=2)
        stand.claim()
        stand.now += LEASE
        stand.publish_all("b", "c")
        return stand

    def test_a_task_one_death_before_its_burial_runs_alone(self, stand: Stand) -> None:
        # What was recovered waits behind what was sent before the claim that noticed.
        assert stand.claim_ids(2) == ["b", "c"]
        assert stand.claim_ids() == ["a"]

    def test_it_is_left_while_others_run(self, stand: Stand) -> None:
        claim = stand.claim()
        assert [one.lease.id for one in claim.deliveries] == ["b", "c"]
        assert claim.isolation == 1
        assert stand.claim(10, 1).isolation == 1

    def test_it_may_be_taken_all_the_same(self, stand: Stand) -> None:
        stand.claim(2)
        (delivery,) = stand.claim(10, 5, ignore_isolation=True).deliveries
        assert (delivery.lease.id, delivery.isolation) == ("a", 1)

    def test_one_that_is_left_holds_up_its_line_only(self, stand: Stand) -> None:
        stand.claim(2)
        stand.publish_all("behind")
        stand.publish_all("beside", queue=OTHER)
        assert stand.claim_ids(10, 1, lanes=BOTH) == ["beside"]
