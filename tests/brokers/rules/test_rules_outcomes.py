"""What becomes of deliveries, and what the holder of a lease may do."""

import pytest

from ltq.brokers._rules import moves
from ltq.brokers._rules.cancel import cancel, clear
from ltq.brokers._rules.leases import renew, show_progress
from ltq.errors import TaskNotFoundError
from ltq.message import Failure, Finish, Lease, Receipt, Requeue
from ltq.state import Progress, Status
from tests.brokers.rules.stand import LEASE, QUEUE, Stand

DONE = Status.COMPLETED


class TestFence:
    def test_a_lease_is_void_once_another_has_the_task(self, stand: Stand) -> None:
        old = stand.lease("a")
        stand.now += LEASE
        new = stand.claim_again("a")
        assert stand.finish(Finish(old, DONE), Requeue(old)) == [Receipt.STALE] * 2
        assert stand.record("a").is_held_by(new)

    def test_a_lease_is_void_once_it_was_recovered(self, stand: Stand) -> None:
        old = stand.lease("a")
        stand.now += LEASE
        stand.claim(0)
        assert stand.finish(Finish(old, DONE)) == [Receipt.STALE]
        assert stand.record("a").status is Status.PENDING

    def test_a_cancelled_task_takes_no_outcome(self, stand: Stand) -> None:
        lease = stand.lease("a")
        cancel(stand.places, "a", 60.0, stand.now)
        assert stand.finish(Finish(lease, DONE), Requeue(lease)) == [Receipt.CANCELLED] * 2

    def test_an_unknown_task_is_gone(self, stand: Stand) -> None:
        assert stand.finish(Finish(Lease("nobody", QUEUE, 1), DONE)) == [Receipt.GONE]


class TestRepeated:
    @pytest.mark.parametrize("result_ttl", [0.0, 60.0])
    def test_an_end_counts_once(self, stand: Stand, result_ttl: float) -> None:
        finish = Finish(stand.lease("a"), DONE, result_ttl=result_ttl)
        assert stand.finish(finish, finish) == [Receipt.OK] * 2
        assert stand.finish(finish) == [Receipt.OK]
        other = Finish(Lease("a", QUEUE, finish.lease.token + 1), DONE)
        assert stand.finish(other) == [Receipt.GONE if result_ttl == 0 else Receipt.STALE]

    def test_a_return_counts_once_also_after_the_next_claim(self, stand: Stand) -> None:
        requeue = Requeue(stand.lease("a"), failed=True)
        assert stand.finish(requeue, requeue) == [Receipt.OK] * 2
        stand.claim_again("a")
        assert stand.finish(requeue) == [Receipt.OK]
        record = stand.record("a")
        assert (record.status, record.tries) == (Status.WORKING, 1)

    def test_only_so_many_ends_are_remembered(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(moves, "MAX_ENDED", 2)
        ends = [Finish(stand.lease(task_id), DONE, result_ttl=0.0) for task_id in "abc"]
        stand.finish(*ends)
        assert stand.finish(*ends) == [Receipt.GONE, Receipt.OK, Receipt.OK]


class TestFinish:
    def test_the_state_stays_and_the_body_goes(self, stand: Stand) -> None:
        lease = stand.lease("a", ctx=b"{}")
        stand.now += 1.0
        stand.finish(Finish(lease, DONE, result=b"1", result_ttl=60.0))
        record = stand.record("a")
        assert (record.status, record.when, record.result) == (DONE, stand.now + 60.0, b"1")
        assert (record.envelope.body, record.envelope.ctx) == (b"", b"")
        assert record.release_time == stand.now

    def test_an_empty_result_is_one_only_of_what_completed(self, stand: Stand) -> None:
        stand.finish(Finish(stand.lease("a"), DONE), Finish(stand.lease("b"), Status.FAILED))
        assert (stand.record("a").result, stand.record("b").result) == (b"", None)

    def test_with_no_ttl_it_is_gone_at_once(self, stand: Stand) -> None:
        stand.finish(Finish(stand.lease("a"), DONE, result_ttl=0.0))
        assert stand.places.records.get("a") is None
        assert stand.told.words[-1] == "a removed"


class TestRequeue:
    def test_it_is_ready_again_behind_the_others(self, stand: Stand) -> None:
        lease = stand.lease("a")
        stand.publish_all("b")
        show_progress(stand.places, lease, Progress(1.0), stand.now)
        stand.finish(Requeue(lease, timeout=7.0, ctx=b"new", failure=Failure("E", "text")))
        record = stand.record("a")
        assert (record.envelope.timeout, record.envelope.ctx) == (7.0, b"new")
        assert (record.progress, record.tries, record.requeue_count) == (None, 0, 1)
        assert record.failure == Failure("E", "text")
        assert stand.claim_ids() == ["b", "a"]

    def test_with_a_delay_it_waits_and_counts_when_it_is_due(self, stand: Stand) -> None:
        stand.finish(Requeue(stand.lease("a"), delay=5.0))
        record = stand.record("a")
        assert (record.status, record.when) == (Status.DELAYED, stand.now + 5.0)
        assert record.requeue_count == 0
        stand.now += 5.0
        stand.claim_again("a")
        assert stand.record("a").requeue_count == 1


class TestRenew:
    def test_a_lease_lasts_from_now(self, stand: Stand) -> None:
        lease = stand.lease("a")
        stand.now += 10.0
        assert renew(stand.places, [lease], LEASE, stand.now) == [True]
        stand.now += 10.0
        assert stand.claim_ids() == []
        assert stand.record("a").is_held_by(lease)

    def test_a_lost_one_is_told_of(self, stand: Stand) -> None:
        held, ended = stand.lease("a"), stand.lease("b")
        stand.finish(Finish(ended, DONE))
        stale = Lease("a", QUEUE, held.token - 1)
        leases = [ended, held, stale, Lease("nobody", QUEUE, 1)]
        assert renew(stand.places, leases, LEASE, stand.now) == [False, True, False, False]

    def test_progress_needs_a_lease_too(self, stand: Stand) -> None:
        lease = stand.lease("a")
        assert show_progress(stand.places, lease, Progress(1.0), stand.now)
        assert stand.told.words[-1] == "a working"
        stand.finish(Finish(lease, DONE))
        assert not show_progress(stand.places, lease, Progress(2.0), stand.now)


class TestCancel:
    def test_a_waiting_task_never_starts(self, stand: Stand) -> None:
        stand.publish_all("a")
        stand.publish_all("b", delay=9.0)
        assert cancel(stand.places, "a", 60.0, stand.now)
        assert cancel(stand.places, "b", 60.0, stand.now)
        stand.now += 9.0
        assert stand.claim_ids() == []
        assert "a revoked" not in stand.told.words

    def test_the_holder_of_a_working_one_is_told(self, stand: Stand) -> None:
        stand.lease("a")
        assert cancel(stand.places, "a", 60.0, stand.now)
        assert "a revoked" in stand.told.words

    def test_a_final_one_stays_what_it_is(self, stand: Stand) -> None:
        stand.finish(Finish(stand.lease("a"), DONE))
        assert not cancel(stand.places, "a", 60.0, stand.now)

    def test_its_own_ttl_goes_first(self, stand: Stand) -> None:
        stand.publish_all("a", result_ttl=5.0)
        stand.publish_all("b", result_ttl=0.0)
        for task_id in "ab":
            cancel(stand.places, task_id, 60.0, stand.now)
        assert stand.record("a").when == stand.now + 5.0
        with pytest.raises(TaskNotFoundError):
            cancel(stand.places, "b", 60.0, stand.now)

    def test_clear_removes_what_waits_in_all_lanes_of_a_queue(self, stand: Stand) -> None:
        held = stand.lease("held")
        stand.publish_all("ready")
        stand.publish_all("lane", lane=f"{QUEUE}/mail:other")
        stand.publish_all("delayed", delay=9.0)
        stand.publish_all("elsewhere", queue="mail:other")
        assert clear(stand.places, QUEUE, 500, stand.now) == 3
        assert stand.record("held").is_held_by(held)
        assert stand.claim_ids(lanes=("mail:other",)) == ["elsewhere"]
