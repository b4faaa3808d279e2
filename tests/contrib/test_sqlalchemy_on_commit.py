"""`send_on_commit` of SQLAlchemy's sessions: tasks that are sent once they have committed."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import ltq
from ltq.brokers.memory import MemoryBroker
from ltq.contrib.sqlalchemy import send_on_commit
from ltq.message import Published
from ltq.sync import SyncHandle
from ltq.testing import FlakyBroker


@pytest.fixture
def broker() -> FlakyBroker:
    return FlakyBroker(MemoryBroker("memory://"))


@pytest.fixture
def pay(broker: FlakyBroker) -> Iterator[ltq.Task[[int], int]]:
    worker = ltq.Worker("shop", broker=broker)

    @worker.task(name="pay")
    def pay(order: int) -> int:
        return order

    yield pay
    ltq.close_sync()


def is_there(handle: SyncHandle[int]) -> bool:
    try:
        handle.state()
    except ltq.TaskNotFoundError:
        return False
    return True


class TestSession:
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
        yield engine
        engine.dispose()

    @pytest.fixture
    def session(self, engine: Engine) -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    def test_it_is_sent_after_the_commit(self, session: Session, pay: ltq.Task[[int], int]) -> None:
        with session.begin():
            handle = send_on_commit(session, pay.message(1))
            assert not is_there(handle)
        assert is_there(handle)

    def test_it_begins_a_transaction(self, session: Session, pay: ltq.Task[[int], int]) -> None:
        handle = send_on_commit(session, pay.message(1))
        assert (session.in_transaction(), is_there(handle)) == (True, False)
        session.commit()
        assert is_there(handle)

    def test_each_transaction_sends_its_own_once(
        self, session: Session, pay: ltq.Task[[int], int], broker: FlakyBroker
    ) -> None:
        for order in (1, 2):
            send_on_commit(session, pay.message(order))
            send_on_commit(session, pay.message(order))
            session.commit()
        session.execute(text("SELECT 1"))
        session.commit()
        assert broker.calls["send"] == 2

    @pytest.mark.parametrize("end", [Session.rollback, Session.close, Session.reset])
    def test_what_is_rolled_back_is_never_sent(
        self, session: Session, pay: ltq.Task[[int], int], end: object
    ) -> None:
        handle = send_on_commit(session, pay.message(1))
        assert callable(end)
        end(session)
        session.execute(text("SELECT 1"))
        session.commit()
        assert not is_there(handle)

    def test_a_commit_that_fails_sends_nothing(
        self, session: Session, pay: ltq.Task[[int], int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handle = send_on_commit(session, pay.message(1))
        session.execute(text("SELECT 1"))

        def fail(_: object) -> None:
            raise OSError("the server is gone")

        monkeypatch.setattr(session.get_bind().dialect, "do_commit", fail)
        with pytest.raises(OSError, match="the server is gone"):
            session.commit()
        monkeypatch.undo()
        session.rollback()
        session.execute(text("SELECT 1"))
        session.commit()
        assert not is_there(handle)

    def test_savepoints_take_back_their_own(
        self, session: Session, pay: ltq.Task[[int], int]
    ) -> None:
        with session.begin():
            first = send_on_commit(session, pay.message(1))
            with session.begin_nested():
                released = send_on_commit(session, pay.message(2))
            undone = session.begin_nested()
            with session.begin_nested():
                inner = send_on_commit(session, pay.message(3))
            outer = send_on_commit(session, pay.message(4))
            undone.rollback()
            last = send_on_commit(session, pay.message(5))
            assert not is_there(released)
        found = [is_there(one) for one in (first, released, inner, outer, last)]
        assert found == [True, True, False, False, True]

    def test_an_error_in_a_savepoint_takes_back_its_own(
        self, session: Session, pay: ltq.Task[[int], int]
    ) -> None:
        handles: list[SyncHandle[int]] = []
        with session.begin():
            with suppress(LookupError), session.begin_nested():
                handles.append(send_on_commit(session, pay.message(1)))
                raise LookupError
            handles.append(send_on_commit(session, pay.message(2)))
        assert [is_there(one) for one in handles] == [False, True]

    def test_after_an_error_of_the_send_the_session_goes_on(
        self, session: Session, pay: ltq.Task[[int], int], broker: FlakyBroker
    ) -> None:
        session.execute(text("CREATE TABLE orders (number INTEGER)"))
        broker.fail()
        session.execute(text("INSERT INTO orders VALUES (7)"))
        send_on_commit(session, pay.message(1))
        with pytest.raises(ltq.BrokerError):
            session.commit()
        broker.heal()
        session.rollback()
        assert session.execute(text("SELECT number FROM orders")).scalar() == 7
        handle = send_on_commit(session, pay.message(2))
        session.commit()
        assert is_there(handle)

    def test_a_robust_one_is_logged(
        self,
        session: Session,
        pay: ltq.Task[[int], int],
        broker: FlakyBroker,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        broker.fail()
        handle = send_on_commit(session, pay.message(1), robust=True)
        with caplog.at_level(logging.ERROR, "ltq.contrib"):
            session.commit()
        assert f"shop:pay {handle.id} was not sent, although its transaction has" in caplog.text

    def test_one_that_joins_a_transaction_sends_after_its_own_commit(
        self, engine: Engine, pay: ltq.Task[[int], int]
    ) -> None:
        with engine.connect() as connection, connection.begin() as outer:
            with Session(connection, join_transaction_mode="create_savepoint") as session:
                handle = send_on_commit(session, pay.message(1))
                session.commit()
            assert is_there(handle)
            outer.rollback()

    def test_a_scoped_session_is_its_session(
        self, engine: Engine, pay: ltq.Task[[int], int]
    ) -> None:
        scoped = scoped_session(sessionmaker(engine))
        handle = send_on_commit(scoped, pay.message(1))
        scoped.commit()
        scoped.remove()
        assert is_there(handle)

    def test_what_is_no_session_is_refused(self, engine: Engine, pay: ltq.Task[[int], int]) -> None:
        with pytest.raises(ltq.ConfigurationError, match="a Session or AsyncSession"):
            send_on_commit(engine, pay.message(1))  # type: ignore[call-overload]

    def test_a_message_of_no_task_is_refused(self, session: Session) -> None:
        with pytest.raises(ltq.ConfigurationError, match="cannot be sent on commit"):
            send_on_commit(session, ltq.Message((), {}, "shop:pay"))

    async def test_in_an_event_loop_it_is_refused(
        self, session: Session, pay: ltq.Task[[int], int]
    ) -> None:
        with pytest.raises(ltq.ConfigurationError, match="use an AsyncSession"):
            send_on_commit(session, pay.message(1))


class TestAsyncSession:
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
        yield engine
        await engine.dispose()

    async def is_there(self, handle: ltq.Handle[int]) -> bool:
        try:
            await handle.state()
        except ltq.TaskNotFoundError:
            return False
        return True

    async def test_it_is_sent_after_the_commit(
        self, engine: AsyncEngine, pay: ltq.Task[[int], int]
    ) -> None:
        async with AsyncSession(engine) as session, session.begin():
            handle = send_on_commit(session, pay.message(1))
            async with session.begin_nested():
                nested = send_on_commit(session, pay.message(2))
            undone = await session.begin_nested()
            taken_back = send_on_commit(session, pay.message(3))
            await undone.rollback()
            assert not await self.is_there(handle)
        found = [await self.is_there(one) for one in (handle, nested, taken_back)]
        assert found == [True, True, False]

    async def test_what_is_rolled_back_is_never_sent(
        self, engine: AsyncEngine, pay: ltq.Task[[int], int]
    ) -> None:
        async with AsyncSession(engine) as session:
            handle = send_on_commit(session, pay.message(1))
            await session.rollback()
            await session.execute(text("SELECT 1"))
            await session.commit()
        assert not await self.is_there(handle)

    async def test_code_of_a_plain_session_in_it_sends(
        self, engine: AsyncEngine, pay: ltq.Task[[int], int]
    ) -> None:
        async with AsyncSession(engine) as session, session.begin():
            sent = await session.run_sync(lambda plain: send_on_commit(plain, pay.message(1)))
        assert await self.is_there(pay.handle(sent.id))

    async def test_a_scoped_session_is_its_session(
        self, engine: AsyncEngine, pay: ltq.Task[[int], int]
    ) -> None:
        scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 1)
        handle = send_on_commit(scoped, pay.message(1))
        await scoped.commit()
        await scoped.remove()
        assert await self.is_there(handle)

    async def test_an_error_of_the_send_is_raised_after_the_commit(
        self, engine: AsyncEngine, pay: ltq.Task[[int], int], broker: FlakyBroker
    ) -> None:
        async with AsyncSession(engine) as session:
            broker.fail()
            send_on_commit(session, pay.message(1))
            with pytest.raises(ltq.BrokerError):
                await session.commit()
            broker.heal()
            handle = send_on_commit(session, pay.message(2))
            await session.commit()
        assert await self.is_there(handle)

    async def test_what_a_cancelled_commit_leaves_unsent_is_logged(
        self,
        engine: AsyncEngine,
        pay: ltq.Task[[int], int],
        broker: FlakyBroker,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        begun = asyncio.Event()

        async def hold(_: object) -> list[Published]:
            begun.set()
            return await asyncio.Future[list[Published]]()

        monkeypatch.setattr(broker, "publish", hold)
        worker = ltq.Worker("ship", broker=broker)

        @worker.task
        def ship(order: int) -> int:
            return order

        async with AsyncSession(engine) as session:
            handles = [send_on_commit(session, task.message(1)) for task in (pay, ship)]
            commit = asyncio.create_task(session.commit())
            await begun.wait()
            commit.cancel()
            with caplog.at_level(logging.ERROR, "ltq.contrib"), suppress(asyncio.CancelledError):
                await commit
        for handle in handles:
            assert f"{handle.id} was not sent, although its transaction has" in caplog.text


WITHOUT_GREENLET = """if True:
    import asyncio, sys
    sys.modules["greenlet"] = None
    import ltq
    from ltq.contrib.sqlalchemy import send_on_commit
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    worker = ltq.Worker("shop", broker_url="memory://shop")
    pay = worker.task(name="pay")(abs)
    with Session(create_engine("sqlite://")) as session:
        handle = send_on_commit(session, pay.message(-1))
        session.commit()
        print(handle.state().status)

        async def main() -> None:
            try:
                send_on_commit(session, pay.message(-1))
            except ltq.ConfigurationError as error:
                print(error)

        asyncio.run(main())
"""


@pytest.mark.slow
def test_a_plain_session_needs_no_greenlet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GREENLET], capture_output=True, text=True, check=False
    )
    status, error = done.stdout.splitlines() or [done.stderr, ""]
    assert status == "pending"
    assert "use an AsyncSession" in error
