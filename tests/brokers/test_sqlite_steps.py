"""A call beside many tasks takes as many steps of SQLite's machine as beside few.

Each row that is looked at, and each entry of an index, is a step or more.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltq._aio.clock import system_clock
from ltq.broker.listing import task_query
from ltq.broker.selection import Selection
from ltq.brokers._rules.cancel import cancel, clear
from ltq.brokers._rules.dead_letters import replay
from ltq.brokers._rules.listing.page import page
from ltq.brokers._rules.listing.stats import queue_stats
from ltq.brokers._rules.record import DeadRecord
from ltq.brokers._rules.steering.cancel_many import cancel_some
from ltq.brokers._rules.steering.parcels import pack
from ltq.brokers._rules.steering.promote import promote
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import open_file
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.message import Finish
from ltq.state import Status
from tests.brokers.rules.stand import QUEUE, Stand

pytestmark = pytest.mark.slow

FEW, MANY = 400, 4000
DEAD = 10
"""One of so many final tasks of the other queue has left a dead letter: `stats` counts these."""
OTHER = "mail:other"
EVERY = 10
"""Of so many steps one is counted."""


class Filled:
    """A file with so many ready, delayed and final tasks, and as many of another queue."""

    def __init__(self, path: Path, count: int) -> None:
        connection = open_file(path)
        self.database = Database(connection, path, system_clock)
        self.database.begin(writes=True)
        self.stand = Stand(SqliteStore(self.database)._places("mail"))
        self._fill(count)
        self.cursors = {status: self._cursor(status, count) for status in Status}
        self.database.commit()
        self._steps = 0
        connection.set_progress_handler(self._step, EVERY)

    def _fill(self, count: int) -> None:
        stand = self.stand
        for number in range(count):
            for queue in (OTHER, QUEUE):
                stand.publish_all(f"final {queue} {number}", queue=queue)
        while claimed := stand.claim(500, lanes=(OTHER, QUEUE)).deliveries:
            done = (Finish(one.lease, Status.COMPLETED, result_ttl=1e6) for one in claimed)
            stand.finish(*done)
        for number in range(count):
            for queue in (OTHER, QUEUE):
                stand.publish_all(f"ready {queue} {number}", queue=queue)
                stand.publish_all(f"delayed {queue} {number}", queue=queue, delay=60.0)
        stand.publish_all(f"later {QUEUE}", delay=90.0)
        insert = "INSERT INTO ltq_kept VALUES (0, 'fingerprint', ?, x'a0', ?)"
        for number in range(count):  # a transaction had expired these values at once
            self.database.run(insert, str(number), 1.0)
        for number in range(0, count, DEAD):
            record = stand.record(f"final {OTHER} {number}")
            dead = DeadRecord.of(record, Status.FAILED, stand.now)
            stand.places.dead.put(dead, most=count)

    def _cursor(self, status: Status, count: int) -> str | None:
        """The cursor of a page that begins after most of the tasks."""
        cursor = None
        for _ in range(count // 100 - 2):
            query = task_query(QUEUE, status, limit=100, cursor=cursor)
            cursor = page(self.stand.places, query, self.stand.now, lists_final=True).cursor
        return cursor

    def _step(self) -> None:
        self._steps += 1

    def steps(self, call: Callable[["Filled"], object]) -> int:
        """How many steps a call takes. What it changes is undone."""
        self.database.begin(writes=True)
        self._steps = 0
        call(self)
        self.database.flush()
        taken = self._steps * EVERY
        self.database.rollback()
        return taken

    def page(self, status: Status, *, first: bool = True) -> int:
        """Read a page; how many tasks it has."""
        query = task_query(QUEUE, status, cursor=None if first else self.cursors[status])
        return len(page(self.stand.places, query, self.stand.now, lists_final=True).items)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, Filled]]:
    """One with few and one with many tasks."""
    folder = tmp_path_factory.mktemp("steps")
    both = Filled(folder / "few.db", FEW), Filled(folder / "many.db", MANY)
    yield both
    for filled in both:
        filled.database.close()


def _some(filled: Filled) -> object:
    stand = filled.stand
    rare = Selection(tag="rare", statuses=(Status.DELAYED, Status.PENDING))
    count, reached = cancel_some(stand.places, QUEUE, rare, None, 100, stand.now)
    assert (count, reached is None) == (0, False)
    return cancel_some(stand.places, QUEUE, rare, reached, 100, stand.now)


CALLS: dict[str, Callable[[Filled], object]] = {
    "claim": lambda filled: filled.stand.claim(50),
    "send": lambda filled: filled.stand.publish("new"),
    "send once": lambda filled: filled.stand.publish("new", fingerprint="f", unique_for=9.0),
    "send later": lambda filled: filled.stand.publish("new", delay=70.0),
    "the first ready ones": lambda filled: filled.page(Status.PENDING),
    "later ready ones": lambda filled: filled.page(Status.PENDING, first=False),
    "the first delayed ones": lambda filled: filled.page(Status.DELAYED),
    "later delayed ones": lambda filled: filled.page(Status.DELAYED, first=False),
    "the last final ones": lambda filled: filled.page(Status.COMPLETED),
    "a step of cancel_many": _some,
    "cancel": lambda filled: cancel(filled.stand.places, f"ready {QUEUE} 99", 60.0, 1e3),
    "promote": lambda filled: promote(filled.stand.places, QUEUE, [f"later {QUEUE}"], 1e3),
    "pack": lambda filled: pack(filled.stand.places, QUEUE, [f"later {QUEUE}"], 1e3),
    "the newest dead letters": lambda filled: filled.stand.places.dead.newest(OTHER, 0.0, 20, 0),
    "replay": lambda filled: replay(filled.stand.places, OTHER, [f"final {OTHER} {DEAD}"], 1e3),
    "purge": lambda filled: filled.stand.places.dead.remove(OTHER, [f"final {OTHER} {DEAD}"]),
    "clear": lambda filled: clear(filled.stand.places, QUEUE, 50, 1e3),
    "stats": lambda filled: queue_stats(filled.stand.places, [QUEUE], 1e3),
    "stats when some are due": lambda filled: queue_stats(filled.stand.places, [QUEUE], 1e4),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_number_of_steps_does_not_grow(
    files: tuple[Filled, Filled], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltq.brokers._rules.listing.page.MAX_FINAL", 300)  # so many are counted
    few, many = (each.steps(CALLS[call]) for each in files)
    assert 0 < many <= 1.2 * few + 5 * EVERY, f"{few} steps beside few, {many} beside many"


def test_the_pages_are_full(files: tuple[Filled, Filled]) -> None:
    for each in files:
        for status in (Status.PENDING, Status.DELAYED, Status.COMPLETED):
            for first in (True, False):
                assert each.page(status, first=first) == 100


@pytest.mark.parametrize("status", [Status.PENDING, Status.DELAYED])
def test_a_page_of_few_is_read_beside_many_of_another_queue(
    files: tuple[Filled, Filled], status: Status
) -> None:
    def read(filled: Filled) -> object:
        stand = filled.stand
        stand.publish("alone", queue="mail:few", delay=9.0 if status is Status.DELAYED else 0.0)
        query = task_query("mail:few", status)
        shown = page(stand.places, query, stand.now, lists_final=True)
        assert [item.id for item in shown.items] == ["alone"]
        return shown

    few, many = (each.steps(read) for each in files)
    assert many <= 1.2 * few + 5 * EVERY
