"""What dead workers leave: recovered, isolated, buried, and replayed."""

import pytest

from ltq.broker import isolation_of
from ltq.brokers._rules import dead_letters, sweep
from ltq.brokers._rules.retention import forget_expired
from ltq.message import Finish, Published, Requeue, Swept
from ltq.options import DEAD_TTL, DEFAULT_MAX_DELIVERIES, DEFAULT_RESULT_TTL
from ltq.state import Status
from tests.brokers.rules.stand import LEASE, QUEUE, Stand


def die(stand: Stand, task_id: str) -> Swept:
    """Let a worker die under a task."""
    stand.claim_again(task_id)
    stand.now += LEASE
    return sweep.sweep(stand.places, stand.now)


def letters(stand: Stand, limit: int = 10, offset: int = 0) -> list[str]:
    return [
        letter.id for letter in dead_letters.newest(stand.places, QUEUE, limit, offset, stand.now)
    ]


def bury(stand: Stand, *ids: str) -> None:
    """Let tasks fail for good."""
    for task_id in ids:
        lease = stand.lease(task_id)
        stand.finish(Finish(lease, Status.FAILED, dead=True, result_ttl=60.0))


class TestSweep:
    def test_each_kind_is_counted(self, stand: Stand) -> None:
        stand.publish_all("buried", max_deliveries=1)
        stand.publish_all("recovered")
        assert len(stand.claim().deliveries) == 2
        stand.publish_all("promoted", delay=LEASE)
        stand.now += LEASE
        assert sweep.sweep(stand.places, stand.now) == Swept(recovered=1, promoted=1, buried=1)
        assert sweep.sweep(stand.places, stand.now) == Swept()

    def test_it_moves_no_more_than_a_batch(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sweep, "MOST_SWEPT", 2)
        stand.publish_all("a", "b", "c", delay=1.0)
        stand.now += 1.0
        assert [sweep.sweep(stand.places, stand.now).promoted for _ in range(3)] == [2, 1, 0]

    def test_expired_states_are_forgotten(self, stand: Stand) -> None:
        stand.finish(Finish(stand.lease("a"), Status.COMPLETED, result_ttl=10.0))
        forget_expired(stand.places, stand.now + 9.9)
        assert stand.record("a").status is Status.COMPLETED
        forget_expired(stand.places, stand.now + 10.0)
        assert stand.places.records.get("a") is None
        assert stand.told.words[-1] == "a removed"


class TestPoison:
    def test_it_is_isolated_step_by_step_and_buried(self, stand: Stand) -> None:
        stand.publish_all("a")
        deaths = [stand.record("a").deaths]
        while not stand.record("a").status.is_final:
            die(stand, "a")
            deaths.append(stand.record("a").deaths)
        isolations = [isolation_of(count) for count in deaths[:DEFAULT_MAX_DELIVERIES]]
        assert isolations == [None, 1000, 100, 10, 1]
        record = stand.record("a")
        assert (record.status, record.deaths) == (Status.REJECTED, DEFAULT_MAX_DELIVERIES)
        assert record.when == stand.now + DEFAULT_RESULT_TTL
        assert letters(stand) == ["a"]

    @pytest.mark.parametrize(
        ("most", "text"), [(1, "killed its worker once"), (2, "killed its worker 2 times")]
    )
    def test_it_says_why(self, stand: Stand, most: int, text: str) -> None:
        stand.publish_all("a", max_deliveries=most, result_ttl=7.0)
        while not stand.record("a").status.is_final:
            die(stand, "a")
        assert stand.record("a").state().error == text
        assert stand.record("a").when == stand.now + 7.0

    def test_failures_are_no_deaths(self, stand: Stand) -> None:
        stand.publish_all("a", max_deliveries=2)
        for _ in range(5):
            stand.finish(Requeue(stand.claim_again("a"), failed=True))
        assert (stand.record("a").deaths, stand.record("a").tries) == (0, 5)

    def test_a_run_that_ends_by_itself_clears_them(self, stand: Stand) -> None:
        stand.publish_all("a", max_deliveries=2)
        for _ in range(3):
            die(stand, "a")
            assert stand.record("a").deaths == 1
            stand.finish(Requeue(stand.claim_again("a")))
            assert stand.record("a").deaths == 0


class TestLetters:
    def test_the_newest_come_first(self, stand: Stand) -> None:
        bury(stand, "a", "b", "c")
        assert letters(stand) == ["c", "b", "a"]
        assert letters(stand, 1, 1) == ["b"]
        assert letters(stand, -1, -1) == []

    def test_a_letter_has_the_task_as_it_was(self, stand: Stand) -> None:
        lease = stand.lease("a", body=b"body", delay=0.0, eta=5.0)
        stand.finish(Finish(lease, Status.FAILED, dead=True))
        letter = dead_letters.get(stand.places, QUEUE, "a", stand.now)
        assert letter is not None
        assert (letter.body, letter.tries, letter.worker) == (b"body", 1, "w")

    def test_a_letter_is_found_in_its_queue_only(self, stand: Stand) -> None:
        bury(stand, "a")
        assert dead_letters.get(stand.places, None, "a", stand.now) is not None
        assert dead_letters.get(stand.places, "mail:other", "a", stand.now) is None

    def test_only_the_latest_stay(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dead_letters, "MAX_DEAD", 2)
        bury(stand, "a", "b", "c")
        assert letters(stand) == ["c", "b"]

    def test_they_go_after_their_time(self, stand: Stand) -> None:
        bury(stand, "a")
        stand.now += DEAD_TTL
        assert letters(stand) == []
        assert dead_letters.counts(stand.places, [QUEUE], stand.now).get(QUEUE, 0) == 0
        assert dead_letters.get(stand.places, QUEUE, "a", stand.now) is None
        assert dead_letters.purge(stand.places, QUEUE, None, 0.0, stand.now) == 0

    def test_a_purge_takes_what_is_old_enough(self, stand: Stand) -> None:
        bury(stand, "a", "b")
        stand.now += 10.0
        bury(stand, "c")
        assert dead_letters.purge(stand.places, QUEUE, ["b", "c", "nobody"], 5.0, stand.now) == 1
        assert letters(stand) == ["c", "a"]
        assert dead_letters.purge(stand.places, QUEUE, None, 0.0, stand.now) == 2


class TestReplay:
    def test_it_is_as_it_was_sent_and_its_counts_go_on(self, stand: Stand) -> None:
        bury(stand, "a")
        token = stand.record("a").token
        assert self.replay(stand, "a") == {"a": Published.CREATED}
        record = stand.record("a")
        assert (record.status, record.tries, record.dequeue_count) == (Status.PENDING, 0, 1)
        assert record.envelope.body == b"{}"
        assert stand.claim_again("a").token > token
        assert letters(stand) == []

    def test_where_the_task_waits_or_works_the_letter_stays(self, stand: Stand) -> None:
        lease = stand.lease("a")
        stand.finish(Finish(lease, Status.FAILED, dead=True, result_ttl=0.0))
        stand.publish_all("a")
        assert self.replay(stand, "a", "a") == {"a": Published.EXISTS}
        assert letters(stand) == ["a"]

    def test_without_a_letter_there_is_nothing_to_replay(self, stand: Stand) -> None:
        assert self.replay(stand, "nobody") == {"nobody": Published.GONE}

    def test_its_watchers_are_not_told_that_it_is_gone(self, stand: Stand) -> None:
        bury(stand, "a")
        self.replay(stand, "a")
        assert "a removed" not in stand.told.words

    @staticmethod
    def replay(stand: Stand, *ids: str) -> dict[str, Published]:
        return dead_letters.replay(stand.places, QUEUE, ids, stand.now)
