"""Taking tasks."""

import pytest

from ltq.brokers._rules.publish import first
from ltq.message import Finish, Published
from ltq.state import Status
from tests.brokers.rules.stand import QUEUE, Stand


class TestPlace:
    def test_a_task_is_ready_at_once(self, stand: Stand) -> None:
        stand.publish("a")
        assert stand.record("a").status is Status.PENDING
        assert stand.told.words == [f"ready {QUEUE}", "a pending"]

    @pytest.mark.parametrize("when", [{"delay": 5.0}, {"eta": 1005.0}, {"delay": 1.0, "eta": 1005}])
    def test_it_is_delayed_until_the_later_of_delay_and_eta(
        self, stand: Stand, when: dict[str, float]
    ) -> None:
        stand.publish("a", **when)
        record = stand.record("a")
        assert (record.status, record.when) == (Status.DELAYED, 1005.0)

    def test_an_eta_in_the_past_is_now(self, stand: Stand) -> None:
        stand.publish("a", eta=999.0)
        assert stand.record("a").status is Status.PENDING

    def test_only_a_delay_that_ends_first_wakes_anybody(self, stand: Stand) -> None:
        stand.publish_all("a", delay=5.0)
        stand.publish_all("b", delay=6.0)
        stand.publish_all("c", delay=4.0)
        assert [word for word in stand.told.words if "ready" in word] == [f"ready {QUEUE}"] * 2

    def test_its_queue_is_known_from_then_on(self, stand: Stand) -> None:
        stand.publish("a", lane=f"{QUEUE}/mail:other")
        assert list(stand.places.queues.names()) == [QUEUE]


class TestId:
    def test_one_that_is_there_is_not_enqueued_again(self, stand: Stand) -> None:
        stand.publish("a")
        assert stand.publish("a") is Published.EXISTS
        assert stand.publish("a", task_name="mail:other") is Published.ID_CONFLICT
        assert stand.claim_ids() == ["a"]

    def test_a_final_state_keeps_its_id_until_it_expires(self, stand: Stand) -> None:
        lease = stand.lease("a")
        stand.finish(Finish(lease, Status.COMPLETED, result_ttl=10.0))
        stand.now += 9.0
        assert stand.publish("a") is Published.EXISTS
        stand.now += 1.0
        assert stand.publish("a") is Published.CREATED


class TestFingerprint:
    def test_it_stands_for_its_time(self, stand: Stand) -> None:
        assert stand.publish("a", fingerprint="f", unique_for=10.0) is Published.CREATED
        stand.now += 9.0
        assert stand.publish("b", fingerprint="f", unique_for=10.0) is Published.DUPLICATE
        assert first(stand.places, "f", stand.now) == "a"
        stand.now += 1.0
        assert first(stand.places, "f", stand.now) is None
        assert stand.publish("b", fingerprint="f", unique_for=10.0) is Published.CREATED

    def test_a_refused_task_does_not_take_it(self, stand: Stand) -> None:
        stand.publish("a")
        assert stand.publish("b", fingerprint="f", unique_for=9, max_pending=1) is Published.FULL
        assert first(stand.places, "f", stand.now) is None


class TestMaxPending:
    def test_ready_and_delayed_tasks_count(self, stand: Stand) -> None:
        stand.publish_all("a", max_pending=2)
        stand.publish_all("b", max_pending=2, delay=9.0)
        assert stand.publish("c", max_pending=2) is Published.FULL
        assert stand.publish("d") is Published.CREATED

    def test_working_tasks_do_not(self, stand: Stand) -> None:
        stand.lease("a", max_pending=1)
        assert stand.publish("b", max_pending=1) is Published.CREATED

    def test_all_lanes_of_a_queue_count(self, stand: Stand) -> None:
        stand.publish("a", lane=f"{QUEUE}/mail:other")
        stand.publish("b", queue="mail:other")
        assert stand.publish("c", max_pending=1) is Published.FULL
        assert stand.publish("d", max_pending=2) is Published.CREATED
