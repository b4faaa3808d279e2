"""SQLite: files."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from benchmarks import files, own
from benchmarks.comparison import Record, Say, compare_on_files
from benchmarks.contenders import ON_SQLITE, Entrant
from benchmarks.results import Machine
from benchmarks.stand import Figures
from benchmarks.stores.store import Store


class SqliteStore(Store):
    """A file of its own for each measure, in the folder for temporary files."""

    measures = files.MEASURES
    entrants = ON_SQLITE

    def machine(self) -> Machine:
        return Machine.here(sqlite=sqlite3.sqlite_version)

    @contextmanager
    def own(self, scale: float) -> Iterator[Callable[[str], Figures]]:
        yield lambda name: own.limited(files.measure(name, scale), scale)

    @contextmanager
    def empty(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="ltq-bench-") as folder:
            yield f"sqlite:///{folder}/jobs.db"

    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        await compare_on_files(contenders, records, scale=scale, say=say)


STORE = SqliteStore
