"""Counts, waiting times, workers, and how quickly tasks end."""

import pytest

from ltq.brokers._rules import history, presence
from ltq.brokers._rules.constants import OVERDUE_AFTER, THROUGHPUT_STEP, THROUGHPUT_STEPS
from ltq.brokers._rules.listing.stats import queue_stats, workers
from ltq.message import Finish
from ltq.options import Priority
from ltq.state import QueueStats, Status, WorkerInfo
from tests.brokers.rules.stand import QUEUE, Stand

MINUTE = THROUGHPUT_STEP * THROUGHPUT_STEPS


class TestStats:
    def test_an_empty_queue(self, stand: Stand) -> None:
        by_priority = {"high": 0, "normal": 0, "low": 0}
        empty = QueueStats(
            queue=QUEUE, pending=0, delayed=0, working=0, dead=0, by_priority=by_priority
        )
        assert queue_stats(stand.places, [QUEUE], stand.now) == [empty]

    def test_tasks_of_all_lanes_of_a_queue_count(self, stand: Stand) -> None:
        stand.lease("working")
        stand.publish_all("high", priority=Priority.HIGH)
        stand.publish_all("lane", lane=f"{QUEUE}/mail:other")
        stand.publish_all("delayed", delay=9.0)
        stand.publish_all("elsewhere", queue="mail:sending")
        (stats,) = queue_stats(stand.places, [QUEUE], stand.now)
        assert (stats.pending, stats.delayed, stats.working) == (2, 1, 1)
        assert stats.by_priority == {"high": 1, "normal": 1, "low": 0}

    def test_the_oldest_waits_since_it_was_sent_or_came_back(self, stand: Stand) -> None:
        stand.publish_all("a", delay=5.0)
        stand.now += 5.0
        stand.claim(0)
        stand.now += 2.0
        assert queue_stats(stand.places, [QUEUE], stand.now)[0].oldest == 2.0
        stand.publish_all("b", priority=Priority.HIGH)
        stand.now += 1.0
        assert queue_stats(stand.places, [QUEUE], stand.now)[0].oldest == 3.0

    def test_a_lease_that_ended_a_minute_ago_is_overdue(self, stand: Stand) -> None:
        stand.publish_all("a", "b", "elsewhere")
        stand.claim(2)
        (ends,) = {record.when for record in stand.places.queues.working()}
        stand.now = ends + OVERDUE_AFTER - 0.1
        assert queue_stats(stand.places, [QUEUE], stand.now)[0].overdue == 0
        stand.now = ends + OVERDUE_AFTER
        assert queue_stats(stand.places, [QUEUE], stand.now)[0].overdue == 2
        assert queue_stats(stand.places, ["mail:other"], stand.now)[0].overdue == 0

    def test_many_queues_are_counted_as_each_alone(self, stand: Stand) -> None:
        queues = [f"mail:q{number}" for number in range(30)]
        for number, queue in enumerate(queues):
            stand.publish_all(*(f"{queue} {one}" for one in range(number % 4 + 1)), queue=queue)
            stand.publish_all(f"{queue} due", queue=queue, delay=number + 1.0)
            lane = f"{queue}/mail:other"
            stand.publish_all(f"{queue} low", queue=queue, lane=lane, priority=Priority.LOW)
            stand.now += 0.5
        leased = stand.claim(20, lanes=tuple(queues[10:])).deliveries
        stand.finish(*(Finish(one.lease, Status.FAILED, dead=True) for one in leased[::2]))
        for queue in queues[::7]:
            stand.places.queues.pause(queue)
        presence.serve(stand.places, [*queues[:9], f"{queues[3]}/mail:other"], 15.0, stand.now)
        stand.now += OVERDUE_AFTER / 2 + 15.0
        names = [*queues[::2], "mail:unknown", *queues[1::2]]
        together = queue_stats(stand.places, names, stand.now)
        assert together == [queue_stats(stand.places, [name], stand.now)[0] for name in names]
        figures = ("pending", "delayed", "working", "dead", "unserved", "paused", "oldest")
        varied = [{str(getattr(one, figure)) for one in together} for figure in figures]
        varied += [{str((one.rate, one.unswept, one.served_ago)) for one in together}]
        assert min(map(len, varied)) > 1

    def test_workers_are_those_that_hold_tasks(self, stand: Stand) -> None:
        stand.publish_all("a", "b", "c")
        stand.claim(2)
        assert workers([stand.places], stand.now) == [
            WorkerInfo(name="w", running=("a", "b"), task_names=(QUEUE,), since=stand.now)
        ]


class TestThroughput:
    def test_what_ended_in_the_last_minute_counts(self, stand: Stand) -> None:
        for task_id in "abc":
            stand.finish(Finish(stand.lease(task_id), Status.COMPLETED))
        stand.now += MINUTE - THROUGHPUT_STEP
        begun = stand.now % THROUGHPUT_STEP
        rate = history.rates(stand.places, [QUEUE], stand.now)[QUEUE].minute
        assert rate == pytest.approx(3 / (MINUTE - THROUGHPUT_STEP + begun))
        assert history.rates(stand.places, [QUEUE], stand.now + THROUGHPUT_STEP) == {QUEUE: (0, 0)}

    def test_old_steps_are_forgotten(self, stand: Stand) -> None:
        for _ in range(3 * THROUGHPUT_STEPS):
            stand.finish(Finish(stand.lease("a"), Status.COMPLETED, result_ttl=0))
            stand.now += THROUGHPUT_STEP
        assert stand.places.end_counts.totals([QUEUE], 0, 10**6)[QUEUE] <= THROUGHPUT_STEPS
