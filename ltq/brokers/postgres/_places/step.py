"""One step of the rules: a transaction, and what its parts have collected."""

from collections.abc import Sequence
from typing import Any, Protocol

from ltq.brokers.postgres._schema.names import Schema


class Transaction(Protocol):
    """Where a step runs its statements."""

    def begin(self, *, writes: bool) -> float:
        """Begin. Returns the time in Unix seconds."""
        ...

    def commit(self) -> None:
        """Keep what was changed."""
        ...

    def rollback(self) -> None:
        """Undo what was changed."""
        ...

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        ...


class Part(Protocol):
    """Something that collects what it will write."""

    def flush(self) -> None:
        """Write it."""
        ...


class Step:
    """Runs statements for all parts. In their texts, tables are named `ltq.tasks`."""

    def __init__(self, transaction: Transaction, schema: Schema) -> None:
        self.transaction = transaction
        self.schema = schema
        self.is_exact: bool = True
        """Whether lanes know how many tasks wait in them, however many these are."""
        self.changes: int = 0
        """Grows with each change, so that whoever keeps what was read knows that it is old."""
        self._touched: dict[Part, None] = {}

    def touch(self, part: Part) -> None:
        """A part has something to write."""
        self.changes += 1
        self._touched[part] = None

    def flush(self) -> None:
        """Write what all parts have collected, so that statements see it."""
        while self._touched:
            touched, self._touched = self._touched, {}
            for part in touched:
                part.flush()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement, after all that was collected is written."""
        self.flush()
        return self.write(statement, *values)

    def write(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as it is: what parts have collected is not seen."""
        given = [list(one) if isinstance(one, tuple | set | dict) else one for one in values]
        return self.transaction.rows(self.schema.sql(statement), *given)

    def number(self, statement: str, *values: Any) -> int:
        """The first value of the first row, 0 if there is none."""
        rows = self.rows(statement, *values)
        return int(rows[0][0]) if rows and rows[0][0] is not None else 0


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as columns, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]
