"""Enqueueing in a transaction of the application's: a task is there if and only if it commits."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

import ltq
from ltq.errors import ConfigurationError, QueueFullError, TaskNotFoundError
from ltq.handle import Handle
from ltq.state import Status
from tests.brokers.enlist.desks import ASYNCHRONOUS, SYNCHRONOUS, Desk, OpenDesk, orders_in


def pay(worker: ltq.Worker) -> ltq.Task[[int], int]:
    @worker.task(name="pay", max_pending=4, unique_for=60)
    async def pay(order: int) -> int:
        return order

    return pay


QUICK = {"plain", "session", "async_session"}
"""The kinds of connections that are in the quick part."""

DESKS = [
    pytest.param(
        open_desk,
        id=open_desk.__name__,
        marks=() if open_desk.__name__ in QUICK else pytest.mark.slow,
    )
    for open_desk in (*SYNCHRONOUS, *ASYNCHRONOUS)
]


@pytest.fixture(params=DESKS)
async def desk(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Desk]:
    """Each kind of connection."""
    open_desk: OpenDesk = request.param
    async with open_desk(path) as desk:
        yield desk


def lock(path: Path) -> None:
    """Take the lock of the file for a moment. Nobody else may hold it."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


async def is_there(handle: Handle[int]) -> bool:
    try:
        await handle.state()
    except TaskNotFoundError:
        return False
    return True


class TestTransaction:
    async def test_what_is_committed_runs(self, desk: Desk, worker: ltq.Worker, path: Path) -> None:
        task = pay(worker)
        async with worker:
            await desk.order()
            handle = await task.with_options(connection=desk.connection).send(7)
            await desk.commit()
            assert await handle.result(timeout=20) == 7
        assert orders_in(path) == 1

    async def test_the_first_statement_of_a_transaction_may_be_a_send(
        self, desk: Desk, worker: ltq.Worker, path: Path
    ) -> None:
        handle = await pay(worker).with_options(connection=desk.connection).send(7)
        await desk.order()
        assert orders_in(path) == 0
        await desk.commit()
        assert (await is_there(handle), orders_in(path)) == (True, 1)

    async def test_nobody_sees_it_before_the_commit(self, desk: Desk, worker: ltq.Worker) -> None:
        await worker.broker.ping()
        await desk.order()
        handle = await pay(worker).with_options(connection=desk.connection).send(7)
        assert not await is_there(handle)
        assert await worker.broker.queues() == []
        await desk.commit()
        assert await is_there(handle)

    async def test_what_is_rolled_back_was_never_there(
        self, desk: Desk, worker: ltq.Worker, path: Path
    ) -> None:
        task = pay(worker)
        await desk.order()
        handle = await task.with_options(connection=desk.connection).send(7)
        await desk.rollback()
        assert (await is_there(handle), orders_in(path)) == (False, 0)
        again = await task.send(7)  # neither its fingerprint nor its place in the queue is left
        assert again != handle
        (stats,) = await worker.broker.stats([task.queue])
        assert stats.pending == 1

    async def test_a_savepoint_takes_back_its_own(
        self, desk: Desk, worker: ltq.Worker, path: Path
    ) -> None:
        task = pay(worker).with_options(connection=desk.connection)
        await desk.order()
        kept = await task.send(1)
        async with desk.undone_savepoint():
            await desk.order()
            undone = await task.send(2)
        later = await task.send(3)
        await desk.commit()
        there = [await is_there(handle) for handle in (kept, undone, later)]
        assert (there, orders_in(path)) == ([True, False, True], 1)

    async def test_many_are_sent_at_once(self, desk: Desk, worker: ltq.Worker) -> None:
        await worker.broker.ping()
        task = pay(worker)
        messages = [task.message(number) for number in range(3)]
        handles = await task.with_options(connection=desk.connection).send_many(messages)
        assert [await is_there(handle) for handle in handles] == [False] * 3
        await desk.commit()
        assert [await is_there(handle) for handle in handles] == [True] * 3


class TestConditions:
    async def test_they_see_what_the_transaction_sees(self, desk: Desk, worker: ltq.Worker) -> None:
        task = pay(worker).with_options(connection=desk.connection)
        first = await task.send(0)
        assert await task.send(0) == first
        for number in range(1, 4):
            await task.send(number)
        with pytest.raises(QueueFullError, match="4 tasks wait"):
            await task.send(9)
        await desk.rollback()
        (stats,) = await worker.broker.stats([task.queue])
        assert stats.pending == 0

    async def test_nobody_waits_for_room_in_a_transaction(
        self, desk: Desk, worker: ltq.Worker
    ) -> None:
        task = pay(worker)
        for number in range(4):
            await task.send(number)
        patient = task.with_options(connection=desk.connection, on_full="wait", full_timeout=1000)
        with pytest.raises(QueueFullError):
            await patient.send(9)
        await desk.rollback()

    async def test_an_id_of_ones_own_and_a_delay_hold(self, desk: Desk, worker: ltq.Worker) -> None:
        task = pay(worker).with_options(connection=desk.connection, id="order-7", delay=60)
        handle = await task.send(7)
        assert handle.id == (await task.send(8)).id == "order-7"
        await desk.commit()
        assert (await handle.state()).status is Status.DELAYED

    async def test_an_id_of_another_task_is_refused(self, desk: Desk, worker: ltq.Worker) -> None:
        @worker.task
        async def refund(order: int) -> None: ...

        await refund.with_options(id="7").send(7)
        with pytest.raises(ConfigurationError, match="'7' belongs to another task"):
            await pay(worker).with_options(connection=desk.connection, id="7").send(7)
        await desk.rollback()

    async def test_former_names_are_known(self, desk: Desk, worker: ltq.Worker) -> None:
        @worker.task(queue="shop:bills")
        async def bill(order: int) -> None: ...

        async def renamed(order: int) -> None: ...

        mine = bill.with_options(connection=desk.connection, id="b")
        handle = await mine.send(1)
        other = ltq.Worker("shop", broker=worker.broker)
        invoice = other.task(name="invoice", queue="shop:bills", aliases=("bill",))(renamed)
        again = await invoice.with_options(connection=desk.connection, id="b").send(1)
        assert again.id == handle.id
        await desk.rollback()


Full = tuple[ltq.Task[[int], int], Desk]


class TestIdle:
    """A call that sends nothing holds no lock, if it would begin the transaction."""

    @pytest.fixture(params=[*SYNCHRONOUS, *ASYNCHRONOUS], ids=lambda open_desk: open_desk.__name__)
    async def full(
        self, request: pytest.FixtureRequest, path: Path, worker: ltq.Worker
    ) -> AsyncIterator[Full]:
        """A task whose queue is full, and each kind of connection, not in a transaction."""
        task = pay(worker)
        for number in range(4):
            await task.send(number)
        open_desk: OpenDesk = request.param
        async with open_desk(path) as desk:
            await desk.rollback()
            yield task, desk

    async def test_a_refused_send(self, full: Full, path: Path) -> None:
        task, desk = full
        with pytest.raises(QueueFullError, match="4 tasks wait"):
            await task.with_options(connection=desk.connection).send(9)
        lock(path)

    async def test_an_id_of_another_task(self, full: Full, path: Path, worker: ltq.Worker) -> None:
        task, desk = full

        @worker.task
        async def refund(order: int) -> None: ...

        await refund.with_options(id="7").send(7)
        with pytest.raises(ConfigurationError, match="'7' belongs to another task"):
            await task.with_options(connection=desk.connection, id="7").send(7)
        lock(path)

    async def test_what_was_sent_before(self, full: Full, path: Path) -> None:
        task, desk = full
        handle = await task.send(2)
        assert await task.with_options(connection=desk.connection).send(2) == handle
        lock(path)

    async def test_reading(self, full: Full, path: Path, worker: ltq.Worker) -> None:
        task, desk = full
        handle = await task.send(2)
        enlisted = worker.broker.enlist(desk.connection)
        (state,) = await enlisted.states(task.queue, [handle.id])
        assert state is not None
        (stats,) = await enlisted.stats([task.queue])
        assert stats.pending == 4
        lock(path)

    async def test_what_was_begun_stays(self, full: Full, path: Path) -> None:
        task, desk = full
        await desk.order()
        with pytest.raises(QueueFullError):
            await task.with_options(connection=desk.connection).send(9)
        await desk.commit()
        assert orders_in(path) == 1

    async def test_some_of_many(self, full: Full, path: Path, worker: ltq.Worker) -> None:
        task, desk = full
        (handle, *_) = [await task.send(number) for number in range(4)]
        await handle.cancel()
        messages = [task.message(number) for number in (7, 8, 9)]
        with pytest.raises(QueueFullError):
            await task.with_options(connection=desk.connection).send_many(messages)
        await desk.commit()
        (stats,) = await worker.broker.stats([task.queue])
        assert stats.pending == 4


class TestAutocommit:
    async def test_it_is_there_at_once(self, path: Path, worker: ltq.Worker) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            task = pay(worker).with_options(connection=connection)
            handle = await task.send(7)
            assert not connection.in_transaction
            assert await is_there(handle)
            for number in range(3):
                await task.send(number)
            with pytest.raises(QueueFullError):
                await task.send(9)
            assert not connection.in_transaction


class TestSettings:
    async def test_they_are_as_before(self, path: Path, worker: ltq.Worker) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory, connection.text_factory = sqlite3.Row, bytes
            before = connection.isolation_level
            await pay(worker).with_options(connection=connection).send(7)
            assert connection.row_factory is sqlite3.Row
            assert connection.text_factory is bytes
            assert connection.isolation_level == before
            connection.rollback()


class TestRefused:
    @pytest.mark.parametrize("url", ["memory://", "redis://127.0.0.1:1"])
    async def test_other_brokers_say_what_to_use_instead(self, url: str) -> None:
        other = ltq.Worker("shop", broker_url=url)
        with (
            closing(sqlite3.connect(":memory:")) as connection,
            pytest.raises(ConfigurationError, match=r"Send after the commit, or .* sqlite:"),
        ):
            await pay(other).with_options(connection=connection).send(7)

    async def test_another_file_is_named_with_the_brokers(
        self, path: Path, worker: ltq.Worker
    ) -> None:
        other = path.with_name("other.db")
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE t (x)")
            connection.execute("ATTACH ? AS jobs", [str(path)])
            with pytest.raises(ConfigurationError, match=f"open on {other}, but .* is {path}"):
                await pay(worker).with_options(connection=connection).send(7)
            assert not connection.in_transaction

    async def test_so_it_is_if_one_of_them_is_not_there_yet(self, path: Path) -> None:
        missing = path.with_name("none.db")
        task = pay(ltq.Worker("shop", broker_url=f"sqlite:///{missing}"))
        with (
            closing(sqlite3.connect(path)) as connection,
            pytest.raises(ConfigurationError, match=f"open on {path}, but .* is {missing}"),
        ):
            await task.with_options(connection=connection).send(7)
        assert not missing.exists()

    async def test_so_is_a_database_in_memory(self, worker: ltq.Worker) -> None:
        with (
            closing(sqlite3.connect(":memory:")) as connection,
            pytest.raises(ConfigurationError, match="open on a database in memory, but"),
        ):
            await pay(worker).with_options(connection=connection).send(7)

    async def test_a_path_by_another_name_is_the_same(self, path: Path, worker: ltq.Worker) -> None:
        link = path.parent / "link"
        link.symlink_to(path.parent)
        with closing(sqlite3.connect(link / path.name)) as connection:
            handle = await pay(worker).with_options(connection=connection).send(7)
            connection.commit()
        assert await is_there(handle)

    @pytest.mark.parametrize("value", [7, "app.db", object])
    async def test_what_is_no_connection(self, worker: ltq.Worker, value: object) -> None:
        with pytest.raises(ConfigurationError, match=r"^connection=.* a sqlite3\.Connection, a"):
            await pay(worker).with_options(connection=value).send(7)

    async def test_none_is_no_connection(self, worker: ltq.Worker) -> None:
        with pytest.raises(ConfigurationError, match="connection=None is not allowed: an open"):
            pay(worker).with_options(connection=None)

    async def test_a_closed_one(self, path: Path, worker: ltq.Worker) -> None:
        connection = sqlite3.connect(path)
        connection.close()
        with pytest.raises(ConfigurationError, match=r"cannot be used here: .*closed"):
            await pay(worker).with_options(connection=connection).send(7)

    async def test_a_message_has_none(self, path: Path, worker: ltq.Worker) -> None:
        with (
            closing(sqlite3.connect(path)) as connection,
            pytest.raises(ConfigurationError, match="a message has no connection"),
        ):
            pay(worker).with_options(connection=connection).message(7)
