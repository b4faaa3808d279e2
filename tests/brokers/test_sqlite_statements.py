"""Looking at many queues takes as many statements as at few, and no more steps a queue."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ltq._aio.clock import system_clock
from ltq.broker import ClaimBudget, ConsumerConfig
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._file.opening import open_file
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.message import Envelope, Finish, new_id
from ltq.options import Priority
from ltq.state import Status

pytestmark = pytest.mark.slow

FEW, MANY = 100, 500
"""Values of so many queues fit in one statement."""

MOST_STATEMENTS = 20

EVERY = 10
"""Of so many steps one is counted."""


class Counted:
    """A file whose queues have tasks of all kinds, and how much is done to read their stats."""

    def __init__(self, path: Path) -> None:
        self._now = system_clock()
        self._connection = open_file(path)
        self.database = Database(self._connection, path, lambda: self._now)
        self.store = SqliteStore(self.database)
        self.queues = [f"mail:q{number}" for number in range(MANY)]
        self._fill()
        self.statements: list[str] = []
        self.steps = 0
        self._connection.set_trace_callback(self.statements.append)
        self._connection.set_progress_handler(self._step, EVERY)

    def _fill(self) -> None:
        sent = [
            self._envelope(queue, priority, delay, lane)
            for queue in self.queues
            for priority in Priority
            for delay in (0.0, 5.0)
            for lane in ("", f"{queue}/mail:other")
        ]
        self.store.publish(sent)
        self.store.serve(self.queues, 5.0)
        consumer = ConsumerConfig(lanes=tuple(self.queues), name="w", lease=5.0)
        leased = self.store.claim(consumer, ClaimBudget(2 * MANY, 0)).deliveries
        dead = [Finish(one.lease, Status.FAILED, dead=True) for one in leased[::2]]
        self.store.finish(dead)
        self.store.pause(self.queues[0])
        self.database.commit()
        self._now += 10.0  # so all that is delayed is due, and leases have ended

    def _envelope(self, queue: str, priority: Priority, delay: float, lane: str) -> Envelope:
        return Envelope(
            id=new_id(),
            queue=queue,
            task_name=queue,
            body=b"{}",
            priority=priority,
            delay=delay,
            lane=lane,
        )

    def _step(self) -> None:
        self.steps += EVERY

    def read(self, queues: Sequence[str], *, is_first: bool = True) -> tuple[int, int]:
        """How many statements and steps it takes to read the stats of these queues."""
        if is_first:
            self.database.rollback()  # nothing is known of the file
        self.statements.clear()
        self.steps = 0
        found = self.store.stats(queues)
        assert [one.queue for one in found] == list(queues)
        assert all(one.oldest and one.unswept and one.delayed for one in found)
        self.database.commit()
        return len(self.statements), self.steps


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """Its file has many queues."""
    counted = Counted(tmp_path_factory.mktemp("statements") / "jobs.db")
    yield counted
    counted.database.close()


def test_many_queues_take_as_many_statements_as_few(counted: Counted) -> None:
    few, _ = counted.read(counted.queues[:FEW])
    many, _ = counted.read(counted.queues)
    assert 0 < many == few <= MOST_STATEMENTS


def test_a_claim_from_many_queues_looks_with_as_many_statements_as_from_few(
    counted: Counted,
) -> None:
    def look(queues: Sequence[str]) -> int:
        counted.database.rollback()
        counted.statements.clear()
        consumer = ConsumerConfig(lanes=tuple(queues), name="w", lease=5.0)
        assert counted.store.next_claim(consumer) == 0.0
        counted.database.commit()
        return len(counted.statements)

    others = counted.queues[1:]  # the first is paused
    assert max(look(others[:20]), look(others[:FEW]), look(others)) <= MOST_STATEMENTS


def test_a_claim_beside_many_queues_takes_as_many_steps_as_beside_few(tmp_path: Path) -> None:
    steps = [_steps_of_claims(tmp_path / f"{many}.db", many) for many in (10, MANY)]
    assert steps[1] < 1.2 * steps[0]


def _steps_of_claims(path: Path, many: int) -> int:
    """How many steps some claims take, and the outcomes, beside so many queues."""
    connection = open_file(path)
    database = Database(connection, path, system_clock)
    store = SqliteStore(database)
    queues = [f"mail:q{number}" for number in range(many)]
    for queue in queues:
        ids = [new_id() for _ in range(10 * MANY // many)]
        store.publish([Envelope(id=one, queue=queue, task_name=queue, body=b"") for one in ids])
    database.commit()
    consumer = ConsumerConfig(lanes=tuple(queues), name="w", lease=60.0)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += EVERY

    connection.set_progress_handler(step, EVERY)
    for _ in range(10):
        database.rollback()  # as if others had written
        leased = store.claim(consumer, ClaimBudget(40, 0)).deliveries
        assert len(leased) == 40
        store.finish([Finish(one.lease, Status.COMPLETED) for one in leased])
        database.commit()
    database.close()
    return steps


def test_what_is_known_of_the_file_is_not_read_again(counted: Counted) -> None:
    first, _ = counted.read(counted.queues)
    again, _ = counted.read(counted.queues, is_first=False)
    assert 0 < again < first


def test_the_steps_grow_with_the_queues_and_no_quicker(counted: Counted) -> None:
    _, few = counted.read(counted.queues[:FEW])
    _, many = counted.read(counted.queues)
    assert many <= 1.2 * few * MANY / FEW, f"{few} steps for few queues, {many} for many"


def test_the_figures_are_those_of_each_queue_alone(counted: Counted) -> None:
    together = counted.store.stats(counted.queues)
    alone = [counted.store.stats([queue])[0] for queue in counted.queues]
    assert together == alone
    assert sum(one.working for one in together) == MANY
    assert sum(one.dead for one in together) == MANY
