"""Among many tasks, few are read for a page of a list, and for a step of a selection."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ltq.broker import ConsumerConfig
from ltq.broker.listing import task_query
from ltq.broker.selection import Selection, check_selection
from ltq.brokers._rules.claim import next_claim
from ltq.brokers._rules.constants import LANES_AT_ONCE
from ltq.brokers._rules.listing.page import page
from ltq.brokers._rules.listing.stats import queue_stats
from ltq.brokers._rules.places import Lane, Spotted
from ltq.brokers._rules.record import Record
from ltq.brokers._rules.steering.cancel_many import Reached, cancel_some
from ltq.message import Finish
from ltq.options import Limit, Priority
from ltq.state import Status
from tests.brokers.rules.stand import QUEUE, Stand

OTHER = "mail:other"


class Counted:
    """Lines that count the tasks which are read of them."""

    def __init__(self, stand: Stand) -> None:
        self.count = 0
        self._lines = stand.places.lines
        stand.places = replace(stand.places, lines=self)

    def spot(self, *args: Any) -> Any:
        return self._lines.spot(*args)

    def ready(self, *args: Any) -> Sequence[Spotted]:
        return self._noted(self._lines.ready(*args))

    def delayed(self, *args: Any) -> Sequence[Spotted]:
        return self._noted(self._lines.delayed(*args))

    def final(self, *args: Any) -> Sequence[Spotted]:
        return self._noted(self._lines.final(*args))

    def _noted(self, found: Sequence[Spotted]) -> Sequence[Spotted]:
        self.count += len(found)
        return found


class CountedLanes:
    """Lanes that count those which are looked at, and the tasks which are read of them."""

    def __init__(self, stand: Stand) -> None:
        self.lanes = self.tasks = 0
        self._lanes = stand.places.lanes
        stand.places = replace(stand.places, lanes=self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lanes, name)

    def in_turn(self, level: Priority) -> Generator[Lane, None, None]:
        for lane in self._lanes.in_turn(level):
            self.lanes += 1
            yield lane

    def of(self, queue: str) -> Sequence[Lane]:
        lanes = self._lanes.of(queue)
        self.lanes += len(lanes)
        return lanes

    def first(self, lane: Lane, level: Priority, limit: int) -> Sequence[Record]:
        found = self._lanes.first(lane, level, limit)
        self.tasks += len(found)
        return found


@pytest.mark.parametrize("limits", [{}, {"mail:q3": Limit(running=1)}], ids=["free", "limited"])
def test_a_claim_looks_at_few_of_many_lanes(stand: Stand, limits: dict[str, Limit]) -> None:
    lanes = tuple(f"mail:q{number}" for number in range(300))
    for lane in lanes:
        stand.publish_all(f"{lane}-1", f"{lane}-2", f"{lane}-3", queue=lane)
    counted = CountedLanes(stand)
    for _ in range(10):
        counted.lanes = counted.tasks = 0
        assert len(stand.claim(20, lanes=lanes, limits=limits).deliveries) == 20
        assert counted.lanes <= 2 * LANES_AT_ONCE
        assert counted.tasks <= 40
    counted.lanes = 0
    consumer = ConsumerConfig(lanes=lanes, name="w", lease=5.0)
    assert next_claim({"mail": stand.places}, consumer, stand.now) == 0.0
    assert counted.lanes == 1


def test_who_serves_one_of_many_lanes_looks_at_few_others(stand: Stand) -> None:
    for number in range(300):
        stand.publish_all(f"id{number}", queue=f"mail:q{number}")
    counted = CountedLanes(stand)
    assert stand.claim_ids(20, lanes=("mail:q200",)) == ["id200"]
    assert counted.lanes <= 20


def list_ids(stand: Stand, status: Status, limit: int, counted: Counted) -> list[str]:
    """The ids of all pages. No page reads more than it shows, and one to see whether more come."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        counted.count = 0
        query = task_query(QUEUE, status, limit=limit, cursor=cursor)
        shown = page(stand.places, query, stand.now, lists_final=True)
        assert counted.count <= limit + 1
        found += [item.id for item in shown.items]
        cursor = shown.cursor
        if cursor is None:
            return found


class TestPages:
    @pytest.mark.parametrize("lane", [QUEUE, f"{QUEUE}/mail:own"])
    def test_of_ready_tasks(self, stand: Stand, lane: str) -> None:
        sent = [f"id{number}" for number in range(1000)]
        stand.publish_all(*sent, lane=lane)
        assert list_ids(stand, Status.PENDING, 150, Counted(stand)) == sent

    @pytest.mark.parametrize("apart", [0.0, 1.0], ids=["due together", "due apart"])
    def test_of_delayed_tasks(self, stand: Stand, apart: float) -> None:
        sent = [f"id{number}" for number in range(1000)]
        for number, task_id in enumerate(sent):
            stand.publish_all(task_id, delay=60.0 + apart * number)
            stand.publish_all(f"other-{task_id}", delay=60.0, queue=OTHER)
        assert list_ids(stand, Status.DELAYED, 150, Counted(stand)) == sent

    @pytest.mark.slow
    def test_of_final_tasks(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ltq.brokers._rules.listing.page.MAX_FINAL", 700)
        sent = [f"id{number}" for number in range(1000)]
        for task_id in sent:
            stand.finish(Finish(stand.lease(task_id), Status.COMPLETED, result_ttl=60.0))
        assert list_ids(stand, Status.COMPLETED, 150, Counted(stand)) == sent[:299:-1]

    @pytest.mark.parametrize("number", [2**63, -(2**63), 2**70])
    def test_a_cursor_that_somebody_made_up_begins_anew(self, stand: Stand, number: int) -> None:
        stand.publish_all("id", delay=60.0)
        query = task_query(QUEUE, Status.DELAYED)
        made_up = query.cursor(stand.now, "delayed", "", number, stand.now + 60.0, "id")
        shown = page(stand.places, query.from_cursor(made_up), stand.now, lists_final=True)
        assert [item.id for item in shown.items] == ["id"]


class Cancelling:
    """A call that cancels, step by step."""

    def __init__(self, stand: Stand, **chosen: Any) -> None:
        self.stand = stand
        self.selection: Selection = check_selection(
            QUEUE,
            **{"status": None, "task_name": None, "tag": None, "older_than": None, **chosen},
        )
        self.reached: Reached | None = None
        self.cancelled = self.steps = 0
        self.is_over = False

    def step(self, most: int = 100) -> None:
        count, self.reached = cancel_some(
            self.stand.places, QUEUE, self.selection, self.reached, most, self.stand.now
        )
        self.cancelled += count
        self.steps += 1
        self.is_over = self.reached is None

    def finish(self) -> int:
        """Take all steps that are left; how many tasks were cancelled in all."""
        while not self.is_over:
            self.step()
        return self.cancelled


class TestCancelMany:
    def test_each_step_reads_so_many_tasks_whatever_is_meant(self, stand: Stand) -> None:
        for number in range(500):
            tags = ("rare",) if number % 100 == 0 else ()
            stand.publish_all(f"ready-{number}", tags=tags)
            stand.publish_all(f"delayed-{number}", tags=tags, delay=60.0)
        counted = Counted(stand)
        call = Cancelling(stand, tag="rare")
        while not call.is_over:
            counted.count = 0
            call.step(100)
            assert counted.count <= 100
        assert (call.cancelled, call.steps) == (10, 11)

    def test_the_lines_of_all_lanes_are_looked_at(self, stand: Stand) -> None:
        for number in range(30):
            lane = f"{QUEUE}/mail:{number % 3}" if number % 4 else QUEUE
            stand.publish_all(f"id{number}", lane=lane, priority=number % 3)
        call = Cancelling(stand)
        call.step(7)
        assert call.cancelled == 7
        assert call.finish() == 30
        assert queue_stats(stand.places, [QUEUE], stand.now)[0].pending == 0

    def test_what_is_sent_meanwhile_is_not_meant(self, stand: Stand) -> None:
        stand.publish_all(*(f"id{number}" for number in range(150)))
        call = Cancelling(stand)
        call.step()
        stand.now += 1.0
        stand.publish_all("later", "much-later")
        assert stand.claim_ids(2) == ["id100", "id101"]
        assert call.finish() == 148
        assert stand.record("later").status is Status.PENDING

    def test_it_ends_while_others_send_more_quickly(self, stand: Stand) -> None:
        stand.publish_all(*(f"id{number}" for number in range(300)))
        call = Cancelling(stand, tag="rare")
        while not call.is_over:
            stand.publish_all(*(f"{call.steps}-{number}" for number in range(300)))
            call.step()
            assert call.steps < 9

    def test_what_becomes_due_meanwhile_is_meant(self, stand: Stand) -> None:
        stand.publish_all(*(f"id{number}" for number in range(150)), delay=5.0)
        call = Cancelling(stand)
        call.step()
        stand.now += 5.0
        assert stand.claim(0).deliveries == []
        assert stand.record("id149").status is Status.PENDING
        assert call.finish() == 150

    def test_what_is_claimed_meanwhile_is_left_out(self, stand: Stand) -> None:
        stand.publish_all(*(f"id{number}" for number in range(250)))
        call = Cancelling(stand)
        call.step()
        assert stand.claim_ids(3) == ["id100", "id101", "id102"]
        assert call.finish() == 247

    def test_running_ones_are_cancelled_in_steps_too(self, stand: Stand) -> None:
        stand.publish_all(*(f"id{number}" for number in range(250)))
        stand.publish_all("other", queue=OTHER)
        stand.claim(200)
        stand.claim(1, lanes=(OTHER,))
        call = Cancelling(stand, status=Status.WORKING)
        call.step()
        assert call.cancelled == 100
        assert call.finish() == 200
        assert stand.record("id200").status is Status.PENDING
        assert stand.record("other").status is Status.WORKING
