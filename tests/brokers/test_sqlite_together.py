"""Calls that wait share a transaction: what that means for each of them."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread.job import Job
from ltq.errors import BrokerError, TaskNotFoundError
from ltq.message import Envelope, Published
from ltq.state import Status
from tests.eventually import eventually


def envelope(task_id: str) -> Envelope:
    return Envelope(id=task_id, queue="mail", task_name="mail", body=b"{}")


@pytest.fixture
def broker(tmp_path: Path) -> SqliteBroker:
    return SqliteBroker(f"sqlite:///{tmp_path}/jobs.db")


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One item for each transaction that has written."""
    made: list[bool] = []
    commit = Database.commit

    def counted(database: Database) -> None:
        if database.is_writing:
            made.append(True)
        commit(database)

    monkeypatch.setattr(Database, "commit", counted)
    return made


async def test_many_sends_take_few_commits(broker: SqliteBroker, commits: list[bool]) -> None:
    async with broker:
        sends = [broker.publish([envelope(f"id{number}")]) for number in range(200)]
        assert await asyncio.gather(*sends) == [[Published.CREATED]] * 200
        assert len(commits) < 20
        (stats,) = await broker.stats(["mail"])
        assert stats.pending == 200


async def test_a_call_that_raises_takes_no_other_with_it(broker: SqliteBroker) -> None:
    async with broker:
        await broker.publish([envelope("there")])
        calls = [broker.publish([envelope(f"id{number}")]) for number in range(5)]
        answers = await asyncio.gather(
            *calls[:3],
            broker.cancel("mail", "unknown", 60),
            broker.cancel("mail", "there", 60),
            *calls[3:],
            return_exceptions=True,
        )
        assert isinstance(answers.pop(3), TaskNotFoundError)
        assert answers.pop(3) is True
        assert answers == [[Published.CREATED]] * 5
        (stats,) = await broker.stats(["mail"])
        assert stats.pending == 5


async def test_what_a_file_cannot_hold_is_refused_alone(broker: SqliteBroker) -> None:
    async with broker:
        odd = Envelope(id="odd", queue="mail", task_name="mail", body=b"{}", timeout=1.0)
        lone = Envelope(id="lone", queue="mail", task_name="mail", body=b"{}", fingerprint="\ud800")
        answers = await asyncio.gather(
            broker.publish([lone]), broker.publish([odd]), return_exceptions=True
        )
        assert isinstance(answers[0], BrokerError)
        assert answers[0].is_refusal
        assert answers[1] == [Published.CREATED]


async def test_a_call_that_was_cancelled_before_its_turn_never_happens(
    broker: SqliteBroker, tmp_path: Path
) -> None:
    async with broker:
        await broker.publish([envelope("first")])
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            blocked = asyncio.ensure_future(broker.publish([envelope("blocked")]))
            thread = broker._here().thread
            await eventually(lambda: not thread._jobs)
            waiting = asyncio.ensure_future(broker.publish([envelope("waiting")]))
            await eventually(lambda: len(thread._jobs) == 1)
            waiting.cancel()
            other.execute("COMMIT")
        assert await blocked == [Published.CREATED]
        states = await broker.states("mail", ["first", "blocked", "waiting"])
        assert [state is not None for state in states] == [True, True, False]


async def test_tasks_of_a_cancelled_claim_wait_in_their_order_again(
    broker: SqliteBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker, broker.consumer(["mail"]) as consumer:
        await broker.publish([envelope("1"), envelope("2"), envelope("3")])
        assert [one.lease.id for one in (await consumer.claim(1)).deliveries] == ["1"]
        begins, begin = threading.Event(), Database.begin

        def told(database: Database, *, writes: bool) -> None:
            begins.set()
            begin(database, writes=writes)

        monkeypatch.setattr(Database, "begin", told)
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            claim = asyncio.ensure_future(consumer.claim(2))
            await eventually(begins.is_set)
            claim.cancel()
            with pytest.raises(asyncio.CancelledError):
                await claim
            other.execute("COMMIT")

        async def are_back() -> bool:
            states = await broker.states("mail", ["2", "3"])
            return all(state is not None and state.status is Status.PENDING for state in states)

        await eventually(are_back)
        again = (await consumer.claim(9)).deliveries
        assert [(one.lease.id, one.dequeue_count, one.deaths) for one in again] == [
            ("2", 1, 0),
            ("3", 1, 0),
        ]


async def test_all_brokers_and_event_loops_of_a_process_share_a_connection(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    before = {*threading.enumerate()}
    brokers = [SqliteBroker(url) for _ in range(3)]
    for number, one in enumerate(brokers):
        await one.publish([envelope(f"id{number}")])
    threads = [
        one for one in threading.enumerate() if one.name == "ltq-sqlite" and one not in before
    ]
    assert len(threads) == 1
    for one in brokers[:2]:
        await one.aclose()
    (stats,) = await brokers[2].stats(["mail"])
    assert stats.pending == 3
    await brokers[2].aclose()
    threads[0].join(5)
    assert not threads[0].is_alive()
    assert os.listdir(tmp_path) == ["jobs.db"]


async def test_a_broker_may_be_used_again_after_it_was_closed(broker: SqliteBroker) -> None:
    for task_id in ("1", "2"):
        async with broker:
            assert await broker.publish([envelope(task_id)]) == [Published.CREATED]
    async with broker:
        (stats,) = await broker.stats(["mail"])
        assert stats.pending == 2


async def test_a_consumer_that_is_kept_says_that_its_broker_was_closed(
    broker: SqliteBroker,
) -> None:
    consumer = broker.consumer(["mail"])
    await broker.ping()
    await broker.aclose()
    with pytest.raises(BrokerError, match=r"was closed: the broker of this call was, or"):
        await consumer.claim(1)
    await consumer.aclose()


@pytest.mark.parametrize(("sync", "modes"), [("full", ["FULL", "NORMAL", "FULL"]), ("normal", [])])
async def test_a_send_waits_for_the_disk_and_a_claim_does_not(
    tmp_path: Path, sync: str, modes: list[str]
) -> None:
    said: list[str] = []
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db?sync={sync}") as broker:
        thread, consumer = broker._here().thread, broker.consumer(["mail"])
        await consumer.claim(1)
        await thread.call(
            lambda store: store.database.connection.set_trace_callback(said.append),
            is_durable=False,
        )
        await broker.publish([envelope("1")])
        await consumer.claim(1)
        await broker.publish([envelope("2")])
    prefix = "PRAGMA synchronous = "
    assert [one.removeprefix(prefix) for one in said if one.startswith(prefix)] == modes


async def test_a_claim_goes_before_calls_that_wait_for_the_disk_but_not_again(
    broker: SqliteBroker,
) -> None:
    ran: list[tuple[str, bool]] = []
    async with broker:
        await broker.ping()
        thread, loop = broker._here().thread, asyncio.get_running_loop()

        def step(name: str) -> Callable[[SqliteStore], None]:
            def run(store: SqliteStore) -> None:
                ran.append((name, store.database.is_durable))
                if name == "claim":
                    later = Job(step("later"), keeps_history=True, is_durable=False, loop=loop)
                    ended.append(thread.submit(later).future)

            return run

        ended: list[asyncio.Future[None]] = []
        with thread._gate:  # it waits until all are there
            for name in ("send", "claim", "finish"):
                job = Job(step(name), keeps_history=True, is_durable=name != "claim")
                ended.append(thread.submit(job).future)
        await eventually(lambda: len(ended) == 4 and all(one.done() for one in ended))
    assert ran == [("claim", False), ("send", True), ("finish", True), ("later", True)]
