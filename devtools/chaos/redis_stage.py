"""A stage with a Redis server, and a proxy before it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random

import redis

from devtools.chaos import remains
from devtools.chaos.proxy_stage import ProxyStage
from devtools.chaos.stage import Way
from devtools.chaos.timeline import Fault, Kind
from devtools.proxy import Proxy
from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.testing.conformance._support.eventually import eventually

AOF = ("--appendonly", "yes", "--appendfsync", "always")
"""`always`, as the server is killed: with `everysec` Redis holds writes back while it syncs."""


class OnRedis(ProxyStage):
    """Has a Redis server, with a proxy before it."""

    def __init__(
        self,
        *,
        lease: float = 15.0,
        arguments: Sequence[str] = AOF,
        directory: Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(lease=lease, directory=directory, seed=seed)
        self.server = RedisServer(self.executable, *arguments)
        self.admin: redis.Redis

    @property
    def urls(self) -> tuple[str, str]:
        return self.server.url, self.proxy.url

    @property
    def ways(self) -> Mapping[Kind, Way]:
        return {
            "redis": self._restart,
            **self.proxy_ways,
            "flush": self._flush,
            "unlisten": self._unlisten,
            "pause": self._pause,
        }

    async def left(self) -> list[str]:
        return remains.left_in(self.admin)

    async def answers(self, timeout: float = 30.0) -> float:
        """Wait until the server answers a PING; the moment (Unix seconds)."""

        def pong() -> float:
            with suppress(redis.RedisError):
                self.admin.ping()
                return time.time()
            return 0.0

        return await eventually(pong, timeout, "a PONG")

    async def _serve(self, stack: AsyncExitStack) -> None:
        """Start the server and the proxy."""
        stack.enter_context(self.server)
        self.admin = stack.enter_context(redis.Redis.from_url(self.server.url))
        proxy = Proxy(self.server.port, chance=Random(self.seed))
        self.proxy = await stack.enter_async_context(proxy)

    async def _restart(self, fault: Fault) -> bool:
        self.server.kill()
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self.server.start)
        await self.answers()
        return True

    async def _flush(self, _: Fault) -> bool:
        return self._told("SCRIPT", "FLUSH")

    async def _unlisten(self, _: Fault) -> bool:
        return self._told("CLIENT", "KILL", "TYPE", "pubsub")

    async def _pause(self, fault: Fault) -> bool:
        if not self._told("CLIENT", "PAUSE", str(int(1000 * fault.seconds)), "ALL"):
            return False
        await asyncio.sleep(fault.seconds)
        return True

    def _told(self, *command: str) -> bool:
        """Whether the server carried out a command: it may be away just now."""
        with suppress(redis.RedisError):
            self.admin.execute_command(*command)
            return True
        return False


class RedisStage(OnRedis):
    """`direct` goes straight to the server, `remote` through the proxy."""

    direct: RedisBroker
    remote: RedisBroker

    async def _open(self, stack: AsyncExitStack) -> None:
        await self._serve(stack)
        self.direct = await stack.enter_async_context(RedisBroker(self.server.url))
        self.remote = await stack.enter_async_context(RedisBroker(self.proxy.url))
