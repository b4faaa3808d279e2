"""Redis: a server that is started for the run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import redis

from benchmarks import measures, own
from benchmarks.comparison import Record, Say, compare
from benchmarks.contenders import ENTRANTS, Entrant
from benchmarks.cores import apart
from benchmarks.results import Machine
from benchmarks.stand import Figures
from benchmarks.stores.store import Store
from devtools.redis_versions import find_redis_server
from devtools.servers import RedisServer


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
        with apart(RedisServer(self._executable)) as server:
            yield lambda name: own.measure(name, server.url, scale)

    @contextmanager
    def empty(self) -> Iterator[str]:
        with apart(RedisServer(self._executable)) as server:
            yield server.url

    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        await compare(self._executable, contenders, records, scale=scale, say=say)


STORE = RedisStore
