"""What a process remembers of the earliest moment, so that it need not read it again."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltq._aio.clock import system_clock
from ltq.brokers._rules import moves
from ltq.brokers._rules.record import Record
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import open_file
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.state import Status
from tests.brokers.rules.stand import QUEUE, Stand

DELAYED, LEASED = 1, 2
"""What the column `status` has of tasks that are in the order of a moment."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "jobs.db"
    database = Database(open_file(path), path, system_clock)
    database.begin(writes=True)
    yield database
    database.commit()
    database.close()


def first(database: Database, status: int) -> float | None:
    """What the file says."""
    database.flush()
    query = "SELECT min(moment) FROM ltq_tasks WHERE status = ?"
    found: float | None = database.run(query, status).fetchone()[0]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_the_file_says(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    stand = Stand(SqliteStore(database)._places("mail"))
    names = [f"id{number}" for number in range(8)]
    for _ in range(1500):
        task_id = chance.choice(names)
        record = stand.places.records.get(task_id)
        match chance.randrange(7):
            case 0 | 1 if record is None:
                stand.publish(task_id, delay=float(chance.randrange(9)))
            case 2 if record is not None:
                moves.remove(stand.places, record)
            case 3 if record is not None and record.status is not Status.PENDING:
                status, moment = record.status, stand.now + chance.randrange(9)
                stand.places.records.place(record, status, moment)
            case 4:
                stand.now += chance.randrange(3)
                stand.claim(1)
            case 5 if chance.random() < 0.2:
                database.commit() if chance.random() < 0.5 else database.rollback()
                database.begin(writes=True)
            case _:
                assert stand.places.delayed.next() == first(database, DELAYED)
                assert stand.places.leased.next() == first(database, LEASED)


def test_delayed_tasks_of_one_call_are_written_together(database: Database) -> None:
    store = SqliteStore(database)
    stand = Stand(store._places("mail"))
    stand.publish("first", delay=60.0)
    database.flush()
    inserts: list[str] = []
    database.connection.set_trace_callback(
        lambda statement: inserts.append(statement) if "INTO ltq_tasks" in statement else None
    )
    for number in range(64):
        stand.publish(f"id{number}", delay=70.0 - number)
    assert inserts == []
    database.flush()
    assert len(inserts) == 1
    (last,) = stand.places.lines.delayed(QUEUE, None, 1)
    assert isinstance(last[1], Record)
    assert last[1].id == "id63"
