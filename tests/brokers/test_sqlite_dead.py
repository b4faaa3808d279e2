"""The dead letters of a file: the newest of a queue, found without counting them each time."""

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from ltq._aio.clock import system_clock
from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import open_file
from ltq.brokers.sqlite._places.dead import SqliteDeadRecords
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.message import Envelope
from ltq.state import Status

QUEUES = ("mail:a", "mail:b")
NOW = 1e9


class Letters:
    """The dead letters of a file, over a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.database = Database(open_file(path), path, system_clock)
        self._store = SqliteStore(self.database)

    def begin(self) -> SqliteDeadRecords:
        self.database.begin(writes=True)
        dead = self._store._places("mail").dead
        assert isinstance(dead, SqliteDeadRecords)
        return dead


def letter(task_id: str, queue: str = QUEUES[0], time: float = NOW) -> DeadRecord:
    envelope = Envelope(id=task_id, queue=queue, task_name=queue, body=b"{}")
    return DeadRecord(Record(envelope, NOW), Status.FAILED, time)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def both(path: Path) -> Iterator[tuple[Letters, Letters]]:
    """Two processes, as it were."""
    one, other = Letters(path), Letters(path)
    with closing(one.database.connection), closing(other.database.connection):
        yield one, other


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_the_newest_stay_whoever_adds_and_removes(both: tuple[Letters, Letters], seed: int) -> None:
    chance, most, numbers = random.Random(seed), 5, count()
    time = NOW
    kept: dict[str, list[str]] = defaultdict(list)
    for _ in range(60):
        letters = chance.choice(both)
        dead = letters.begin()
        before = {queue: [*ids] for queue, ids in kept.items()}
        for _ in range(chance.randint(1, 4)):
            queue = chance.choice(QUEUES)
            ids, time = kept[queue], time + 1
            match chance.choice(["die", "die", "die", "again", "remove", "purge"]):
                case "remove" if ids:
                    gone = ids.pop(chance.randrange(len(ids)))
                    assert dead.remove(queue, [gone]) == 1
                case "purge" if chance.random() < 0.3:
                    assert dead.remove(queue, None) == len(ids)
                    ids.clear()
                case "again" if ids:
                    task_id, other = chance.choice(ids), chance.choice(QUEUES)
                    dead.put(letter(task_id, other, time), most=most)
                    ids.remove(task_id)
                    kept[other] = [*kept[other], task_id][-most:]
                case _:
                    dead.put(letter(task_id := str(next(numbers)), queue, time), most=most)
                    kept[queue] = [*ids, task_id][-most:]
        for queue in QUEUES:
            found = dead.newest(queue, 0.0, 100, 0)
            assert [one.record.id for one in reversed(found)] == kept[queue]
        if chance.random() < 0.3:
            letters.database.rollback()
            kept = defaultdict(list, before)
        else:
            letters.database.commit()


@pytest.mark.parametrize("is_full", [False, True])
def test_a_death_beside_many_letters_takes_as_long_as_beside_few(
    tmp_path: Path, *, is_full: bool
) -> None:
    def steps(many: int) -> int:
        letters, taken = Letters(tmp_path / f"{many}.db"), count()
        most = many if is_full else 2 * many
        dead = letters.begin()
        for number in range(many):
            dead.put(letter(str(number)), most=most)
        letters.database.commit()
        letters.database.connection.set_progress_handler(lambda: next(taken) * 0, 1)
        letters.begin().put(letter("new"), most=most)
        letters.database.commit()
        letters.database.connection.close()
        return next(taken)

    assert 0 < steps(2000) <= 1.2 * steps(200)
