"""Simulated days: some are lived, one is lived again, and what goes wrong is found."""

import subprocess
import sys
from collections.abc import Sequence

import msgspec
import pytest

from devtools.simulate.books import Books, Job
from devtools.simulate.day import live
from ltq.brokers.memory import MemoryBroker
from ltq.message import Finish, Outcome, Receipt
from ltq.state import Status, TaskState

JOBS = 80


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_nothing_goes_wrong_in_a_day(seed: int) -> None:
    lived = await live(seed, JOBS)
    assert lived.findings == []
    assert lived.runs > lived.sent > JOBS / 2


@pytest.mark.slow
async def test_what_a_store_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, forgotten = MemoryBroker.finish, list[Outcome]()

    async def finish(self: MemoryBroker, outcomes: Sequence[Outcome]) -> list[Receipt]:
        ended = [one for one in outcomes if one.lease.queue == "shop:plain"]
        if forgotten or not any(isinstance(one, Finish) for one in ended):
            return await whole(self, outcomes)
        forgotten.extend(outcomes)
        return [Receipt.OK] * len(outcomes)

    monkeypatch.setattr(MemoryBroker, "finish", finish)
    lived = await live(0, JOBS)
    assert len(lived.findings) == 1
    assert "times on a calm day" in lived.findings[0]


@pytest.mark.slow
def test_a_seed_gives_the_same_day_again() -> None:
    command = [sys.executable, "-m", "devtools.simulate", "--days", "1", "--jobs", "9"]
    days = [
        subprocess.run([*command, "--seed", "7"], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    first, again = (day.stdout.split()[-1] for day in days)
    assert first == again


class TestBooks:
    JOB = Job(3, fails=1, seconds=1.0)

    @pytest.fixture
    def books(self) -> Books:
        books = Books(is_calm=False)
        books.began[3] = 2
        return books

    def judged(self, books: Books, **fields: object) -> list[str]:
        named = {"id": "a", "task_name": "t", "queue": "t"}
        state = msgspec.convert(named | fields, TaskState[int])
        return [*books._judge(self.JOB, state)]

    def test_a_right_result_is_right(self, books: Books) -> None:
        assert self.judged(books, status=Status.COMPLETED, result=6) == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"status": Status.COMPLETED, "result": 7},
            {"status": Status.FAILED},
            {"status": Status.CANCELLED},
            {"status": Status.REJECTED, "dequeue_count": 1},
            {"status": Status.WORKING},
        ],
        ids=lambda fields: fields["status"],
    )
    def test_what_cannot_be_is_found(self, books: Books, fields: dict[str, object]) -> None:
        assert len(self.judged(books, **fields)) == 1

    def test_a_run_after_the_end_is_found(self, books: Books) -> None:
        books.final[3] = Status.COMPLETED
        books.begin("t", self.JOB, 5.0)
        assert books.wrong == ["job 3 ran after it was seen as completed"]

    def test_a_run_in_a_paused_queue_is_found(self, books: Books) -> None:
        books.paused["t"] = 4.0
        books.begin("other", self.JOB, 5.0)
        books.begin("t", self.JOB, 4.0)
        assert books.wrong == []
        books.begin("t", self.JOB, 5.0)
        assert books.wrong == ["job 3 began at 5.000 in a paused queue"]

    @pytest.mark.parametrize("is_calm", [True, False])
    @pytest.mark.parametrize(
        ("ticks", "is_right_when"),
        [
            ({"a": 1, "b": 1}, "always"),
            ({"a": 1}, "rough"),  # a schedule that cannot reach the store leaves slots out
            ({"a": 2, "b": 1}, "rough"),  # its lease ended while its end could not be written
            ({"a": 1, "b": 1, "c": 1}, "never"),
            ({"a": 4, "b": 1}, "never"),
        ],
    )
    def test_a_schedule_gives_one_task_for_each_slot(
        self, is_calm: bool, ticks: dict[str, int], is_right_when: str
    ) -> None:
        books = Books(is_calm=is_calm)
        books.ticks.update(ticks)
        is_right = is_right_when == "always" or (is_right_when == "rough" and not is_calm)
        assert ([*books.judge_schedule(2)] == []) is is_right
