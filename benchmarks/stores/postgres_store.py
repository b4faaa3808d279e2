"""PostgreSQL: a server that is started for the run. It needs psycopg."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import psycopg

from benchmarks import databases, own
from benchmarks.comparison import Count, Record, Say, compare_idle, compare_in
from benchmarks.contenders import ON_POSTGRES, Entrant
from benchmarks.cores import apart
from benchmarks.results import Machine
from benchmarks.stand import Figures
from benchmarks.stores.store import Store
from devtools.programs import find_postgres


class PostgresStore(Store):
    """A server that is started for the run, with a database of its own for each measure."""

    measures = databases.MEASURES
    entrants = ON_POSTGRES

    def __init__(self) -> None:
        folder = find_postgres()
        if folder is None:
            raise LookupError("no PostgreSQL found: install one")
        self._folder = folder

    def machine(self) -> Machine:
        with databases.safe(self._folder) as server, psycopg.connect(server.url) as connection:
            return Machine.here(postgres=connection.info.parameter_status("server_version") or "")

    @contextmanager
    def own(self, scale: float) -> Iterator[Callable[[str], Figures]]:
        with databases.counting(self._folder) as server:
            yield lambda name: own.limited(databases.measure(name, server.url, scale), scale)

    @contextmanager
    def empty(self) -> Iterator[str]:
        with apart(databases.safe(self._folder)) as server:
            yield server.url

    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        @asynccontextmanager
        async def idling() -> AsyncIterator[tuple[str, Count]]:
            with databases.counting(self._folder) as server:
                async with databases.database(server.url) as url:
                    yield url, partial(databases.statements, server.url)

        with apart(databases.safe(self._folder)) as server:
            place = partial(databases.database, server.url)
            await compare_in(place, contenders, records, scale=scale, say=say)
        await compare_idle(idling, contenders, records, scale=scale, say=say)


STORE = PostgresStore
