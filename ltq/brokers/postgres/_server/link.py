"""Calls to a server: the connections of one event loop, deadlines, repeats, and clear errors."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

import psycopg

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers._rules.constants import CALL_BYTES, SLOWEST
from ltq.brokers.postgres._places.store import PostgresStore
from ltq.brokers.postgres._schema import texts
from ltq.brokers.postgres._schema.errors import SchemaError
from ltq.brokers.postgres._server import bridge
from ltq.brokers.postgres._server.connections import CALL_PATIENCE, Connection, Connections
from ltq.brokers.postgres._server.errors import (
    RefusedError,
    SilentError,
    error_of,
    is_lost,
    is_passing,
)
from ltq.brokers.postgres._server.packing import packed
from ltq.brokers.postgres._server.silence import answered
from ltq.brokers.postgres._server.statements import Statements
from ltq.brokers.postgres._server.url import UrlSettings
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

T = TypeVar("T")

MAX_CONNECTIONS = 8
"""Most calls under way at once in one event loop. Others wait their turn."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5

_OUTAGE = 1.0
"""Seconds without a call that succeeds, while some fail, which count as an outage."""

_HELD_FOR = 2.0
"""Seconds after one in which nobody is taken for dead, so that all may renew their leases."""


class Link(Service):
    """Connections to one server, used in one event loop, opened as they are needed."""

    def __init__(self, settings: UrlSettings) -> None:
        super().__init__("ltq-postgres", logger)
        self.settings = settings
        self.connections = Connections(settings)
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._undoing: set[asyncio.Task[None]] = set()
        self._rules = asyncio.Lock()
        self._failing_since: float | None = None
        self._held_until = 0.0

    # Calls

    async def call(
        self,
        name: str,
        *values: Any,
        on_lost: Callable[[], object] = lambda: None,
        undo: Callable[[Any], Awaitable[object]] | None = None,
        size: int = 0,
    ) -> list[tuple[Any, ...]]:
        """The rows of a function in `sql/`. Lists are arrays. Raises `BrokerError`.

        `on_lost` is called if it may have been carried out, and is repeated. It may change lists.
        `size` is how many bytes its values have, if they may be many: it gets time for them.
        """
        statement = texts.call(name, self.settings.schema)

        async def attempt(connection: Connection) -> list[tuple[Any, ...]]:
            cursor = connection.cursor(binary=True)
            given = packed(name, values)
            try:
                await cursor.execute(statement, given, prepare=not self.connections.is_pooled)
                return await cursor.fetchall()
            except psycopg.Error as error:
                if is_lost(error):
                    on_lost()
                raise

        return await self.use(attempt, undo, more=max(0, size - CALL_BYTES) / SLOWEST)

    async def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement that only reads. In its text, tables are named `ltq.tasks`."""
        text = self.settings.schema.sql(statement)

        async def attempt(connection: Connection) -> list[tuple[Any, ...]]:
            cursor = connection.cursor(binary=True)
            await cursor.execute(text, values)
            return await cursor.fetchall()

        return await self.use(attempt)

    async def run(
        self,
        step: Callable[[PostgresStore], T],
        undo: Callable[[T], Awaitable[object]] | None = None,
    ) -> T:
        """Run a step of the rules, in a transaction. Raises `BrokerError`.

        Steps take effect in the order in which they are asked for.
        """
        settings = self.settings
        unsure: tuple[str, T] | None = None
        """A transaction whose connection was lost as it ended, and the answer of its step."""

        async def attempt(connection: Connection) -> T:
            nonlocal unsure
            statements = Statements(connection)
            if unsure is not None:
                number, answer = unsure
                status = await statements.status_of(number)
                if status == "committed":
                    return answer
                if status == "in progress":
                    raise psycopg.OperationalError("the transaction of a lost call goes on")
                unsure = None
            # Each attempt knows nothing of the one before.
            store = PostgresStore(statements, settings.schema, keeps_history=settings.keeps_history)
            answer = await bridge.run(lambda: store.run(step))
            unsure = None if statements.number is None else (statements.number, answer)
            try:
                await statements.end()
            except psycopg.Error as error:
                if not is_lost(error):
                    unsure = None
                raise
            return answer

        return await self.use(attempt, undo, self._rules)

    async def use(
        self,
        attempt: Callable[[Connection], Awaitable[T]],
        undo: Callable[[Any], Awaitable[object]] | None = None,
        turns: AbstractAsyncContextManager[object] | None = None,
        *,
        is_long: bool = False,
        more: float = 0.0,
    ) -> T:
        """Do something with a connection, and repeat it if that may help.

        What `is_long` may take as long as it takes; other calls have `more` seconds than usual. If
        this is cancelled, what has begun goes on to its end, and `undo` gets its answer.
        """
        if self.is_stopping:
            raise BrokerError(f"{self.settings.server}: the broker was closed")
        asked = time.monotonic()
        if self._undoing and asyncio.current_task() not in self._undoing:
            await asyncio.wait(self._undoing)  # so that what comes later sees nothing of it
        work = self._spawn(
            self._repeat(attempt, turns or self._slots, asked, is_long=is_long, more=more),
            "call",
            is_awaited=True,
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.done():
                work.add_done_callback(self._forget_error)
            if undo is not None:
                self.undo(_undo(work, undo))
            raise
        finally:
            if work.done():
                self._forget(work)
            else:
                work.add_done_callback(self._forget)

    def undo(self, work: Coroutine[Any, Any, object]) -> None:
        """Undo something, before all calls that come later."""
        task = self._spawn(_quietly(work), "undo")
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    def soon(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something beside. Its errors are not told: it is tried again."""
        self._spawn(_quietly(work), "upkeep")

    def started(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Do something beside. The caller takes care of its errors."""
        task = self._spawn(work, "look", is_awaited=True)
        task.add_done_callback(self._forget)
        return task

    @staticmethod
    def _forget_error(work: "asyncio.Task[Any]") -> None:
        if not work.cancelled():
            work.exception()

    async def _repeat(
        self,
        attempt: Callable[[Connection], Awaitable[T]],
        turns: AbstractAsyncContextManager[object],
        asked: float,
        *,
        is_long: bool,
        more: float,
    ) -> T:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        async with turns:
            deadline = self._deadline(asked) + more
            reason: psycopg.Error | None = None
            while True:
                try:
                    answer = await self._attempt(attempt, deadline, is_long=is_long)
                except psycopg.Error as error:
                    if is_lost(error):
                        self._note(failed=True)
                    if reason is None or not isinstance(error, SilentError):
                        reason = error  # the last attempt may have had no time for an answer
                    told = error_of(reason, self.settings.server)
                    told.__cause__ = reason
                    pause = pauses.next()
                    is_over = time.monotonic() + pause >= deadline
                    is_final = isinstance(told, SchemaError | RefusedError)
                    if is_over or is_final or not is_passing(error):
                        raise told from reason
                else:
                    self._note(failed=False)
                    return answer
                await asyncio.sleep(pause)

    def _deadline(self, asked: float) -> float:
        """When a call is given up that was asked for at a time, and has its turn now.

        Waiting for its turn counts only while no call succeeds.
        """
        now = time.monotonic()
        if self._failing_since is None:
            return now + CALL_PATIENCE
        if now >= asked + CALL_PATIENCE:
            silent = now - self._failing_since
            text = (
                f"{self.settings.server} cannot be used: no call has succeeded for {silent:.0f} s"
            )
            raise BrokerError(text)
        return asked + CALL_PATIENCE

    async def _attempt(
        self, attempt: Callable[[Connection], Awaitable[T]], deadline: float, *, is_long: bool
    ) -> T:
        connection = await self.connections.take(deadline)
        try:
            async with nullcontext() if is_long else answered(connection, deadline):
                answer = await attempt(connection)
        except BaseException as error:
            await self.connections.give_back(connection, error)
            raise
        await self.connections.give_back(connection)
        return answer

    @property
    def is_held(self) -> bool:
        """Whether leases that have ended are to be left alone: there was an outage just now."""
        return time.monotonic() < self._held_until

    def _note(self, *, failed: bool) -> None:
        """Note how a call went."""
        if failed and self._failing_since is None:
            self._failing_since = time.monotonic()
        elif not failed and self._failing_since is not None:
            if time.monotonic() - self._failing_since >= _OUTAGE:
                self._held_until = time.monotonic() + _HELD_FOR
            self._failing_since = None

    async def migrate(self) -> bool:
        """Make or upgrade the schema. Returns whether there was anything to do."""
        self.connections.trust()
        try:
            return await self.use(self.connections.migrate, is_long=True)
        except BaseException:
            self.connections.distrust()
            raise

    async def aclose(self) -> None:
        """Close all connections, after the calls under way."""
        self.stop()
        await self.drain(CALL_PATIENCE)
        await super().aclose()
        await self.connections.aclose()

    def abandon(self) -> None:
        """Close all connections without waiting, in the event loop or after that was closed."""
        super().abandon()
        self.connections.abandon()


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except BrokerError as error:
        logger.debug("%s", error)


async def _undo(work: "asyncio.Task[Any]", undo: Callable[[Any], Awaitable[object]]) -> None:
    await asyncio.wait([work])
    if not work.cancelled() and work.exception() is None:
        await undo(work.result())
