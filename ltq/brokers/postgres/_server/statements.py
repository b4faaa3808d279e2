"""Running the statements of rules on a connection, one after the other."""

from typing import Any

from psycopg import AsyncConnection

from ltq.brokers.postgres._server.bridge import wait

_NOW = "extract(epoch FROM clock_timestamp())::float8"


class Statements:
    """Statements on a connection of LTQ's own, for code that `bridge.run` calls."""

    def __init__(self, connection: "AsyncConnection[tuple[Any, ...]]") -> None:
        self._connection = connection
        self.number: str | None = None
        """Of the transaction; None if it only reads."""

    def begin(self, *, writes: bool) -> float:
        """Begin a transaction. Returns the time of the server, in Unix seconds.

        One that only reads sees all as it is now, whatever others change meanwhile.
        """
        if not writes:
            ((now,),) = self.rows(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT {_NOW}")
            return float(now)
        # A transaction that writes has a number before it reads the clock: see `raise_moments`.
        ((number, now),) = self.rows(f"BEGIN; SELECT pg_current_xact_id()::text, {_NOW}")
        self.number = str(number)
        return float(now)

    def commit(self) -> None:
        """The step is done. The transaction ends with `end`, when its answer is known."""

    async def end(self) -> None:
        """End the transaction, and keep its changes."""
        await self._rows("COMMIT", ())

    async def status_of(self, number: str) -> str | None:
        """What became of a transaction: "committed", "aborted" or "in progress"."""
        ((status,),) = await self._rows("SELECT pg_xact_status(%s::xid8)", (number,))
        return None if status is None else str(status)

    def rollback(self) -> None:
        """End the transaction, and undo its changes."""
        if not self._connection.closed:
            self.rows("ROLLBACK")

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement, or of the last of several; none if it gives none."""
        return wait(self._rows(statement, values))

    async def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor(binary=bool(values))
        await cursor.execute(statement, values or None)
        while cursor.nextset():
            pass
        return await cursor.fetchall() if cursor.description else []
