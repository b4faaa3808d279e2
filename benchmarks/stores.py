"""The stores that LTQ is measured on: with its own measures, and beside the peers that use them."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import psycopg
import redis

from benchmarks import databases, files, measures, own
from benchmarks.comparison import (
    Count,
    Record,
    Say,
    compare,
    compare_idle,
    compare_in,
    compare_on_files,
)
from benchmarks.contenders import ENTRANTS, ON_POSTGRES, ON_SQLITE, Entrant
from benchmarks.results import Machine
from benchmarks.stand import Figures
from devtools.programs import find_postgres
from devtools.redis_versions import find_redis_server
from devtools.servers import RedisServer


class Store(ABC):
    """One of them. Raises `LookupError` if it is not to be had here."""

    measures: Mapping[str, Any]
    """LTQ's own, by name."""
    entrants: Mapping[str, Entrant]

    @abstractmethod
    def machine(self) -> Machine:
        """Where it runs."""

    @abstractmethod
    def own(self, scale: float) -> AbstractContextManager[Callable[[str], Figures]]:
        """What runs one of LTQ's own measures, by its name."""

    @abstractmethod
    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        """One round of the comparison."""


class RedisStore(Store):
    """A redis-server that is started for the run, on a free loopback port."""

    measures = measures.MEASURES
    entrants = ENTRANTS

    def __init__(self) -> None:
        executable = find_redis_server()
        if executable is None:
            raise LookupError("no redis-server found: install one")
        self._executable = executable

    def machine(self) -> Machine:
        with RedisServer(self._executable) as server, redis.Redis.from_url(server.url) as client:
            return Machine.here(redis=client.info("server")["redis_version"])

    @contextmanager
    def own(self, scale: float) -> Iterator[Callable[[str], Figures]]:
        with RedisServer(self._executable) as server:
            yield lambda name: own.measure(name, server.url, scale)

    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        await compare(self._executable, contenders, records, scale=scale, say=say)


class SqliteStore(Store):
    """A file of its own for each measure, in the folder for temporary files."""

    measures = files.MEASURES
    entrants = ON_SQLITE

    def machine(self) -> Machine:
        return Machine.here(sqlite=sqlite3.sqlite_version)

    @contextmanager
    def own(self, scale: float) -> Iterator[Callable[[str], Figures]]:
        yield lambda name: own.limited(files.measure(name, scale), scale)

    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        await compare_on_files(contenders, records, scale=scale, say=say)


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

        with databases.safe(self._folder) as server:
            place = partial(databases.database, server.url)
            await compare_in(place, contenders, records, scale=scale, say=say)
        await compare_idle(idling, contenders, records, scale=scale, say=say)


STORES: Mapping[str, type[Store]] = {
    "redis": RedisStore,
    "sqlite": SqliteStore,
    "postgres": PostgresStore,
}
