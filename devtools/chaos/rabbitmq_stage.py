"""A stage with RabbitMQ in front of a Redis server, each of them killed in turn and together."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import aiormq

from devtools.chaos import jobs
from devtools.chaos.redis_stage import OnRedis
from devtools.chaos.stage import Way
from devtools.chaos.timeline import Fault, Kind
from devtools.programs import find_rabbitmq
from devtools.proxy import Proxy
from devtools.rabbitmq import RabbitServer
from ltq.brokers.rabbitmq import RabbitBroker

_QUEUES = (f"ltq.{jobs.NAME}", f"ltq.{jobs.BEYOND}", "ltq.dead")
_WATERMARK, _FLOODED = "0.4", "0.000001"
"""How much of the machine's memory RabbitMQ may take: as it is by default, and next to nothing."""


class RabbitStage(OnRedis):
    """`direct` goes straight to both servers, `remote` through a proxy before each."""

    def __init__(
        self, *, lease: float = 15.0, directory: Path | None = None, seed: int = 0
    ) -> None:
        super().__init__(lease=lease, directory=directory, seed=seed)
        executable = find_rabbitmq()
        if executable is None:
            raise SystemExit("no rabbitmq-server: it needs one of its own")
        self.rabbit = RabbitServer(executable)
        self.front: Proxy
        self._store_lock, self._rabbit_lock = asyncio.Lock(), asyncio.Lock()

    @property
    def urls(self) -> tuple[str, str]:
        direct, remote = super().urls
        through = self.rabbit.url.replace(f":{self.rabbit.port}/", f":{self.front.port}/")
        return f"{self.rabbit.url}?state={direct}", f"{through}?state={remote}"

    @property
    def ways(self) -> Mapping[Kind, Way]:
        return {
            **super().ways,
            "rabbitmq": self._restart_rabbit,
            "both": self._restart_both,
            "stun": self._stun,
            "flood": self._flood,
        }

    async def left(self) -> list[str]:
        return [*await super().left(), *await self._left_in_rabbit()]

    async def _left_in_rabbit(self) -> list[str]:
        """Messages that nobody has taken, and those that could be no task."""
        connection = await aiormq.connect(self.rabbit.url)
        async with connection:
            channel = await connection.channel()
            found = [await channel.queue_declare(name, passive=True) for name in _QUEUES]
        return [
            f"{one.message_count} messages are left in {one.queue}"
            for one in found
            if one.message_count
        ]

    async def _open(self, stack: AsyncExitStack) -> None:
        stack.callback(self._keep_log)
        await asyncio.to_thread(stack.enter_context, self.rabbit)
        await self._serve(stack)
        front = Proxy(self.rabbit.port, chance=Random(self.seed), reader=_Unread)
        self.front = await stack.enter_async_context(front)
        direct, remote = self.urls
        self.direct = await stack.enter_async_context(RabbitBroker(direct))
        self.remote = await stack.enter_async_context(RabbitBroker(remote))

    def _keep_log(self) -> None:
        (self.directory / "rabbitmq.log").write_text("".join(self.rabbit.output), "utf-8")

    async def _restart(self, fault: Fault) -> bool:
        async with self._store_lock:
            return await super()._restart(fault)

    async def _restart_rabbit(self, fault: Fault) -> bool:
        async with self._rabbit_lock:
            await asyncio.to_thread(self.rabbit.kill)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(self.rabbit.start)
        return True

    async def _restart_both(self, fault: Fault) -> bool:
        """Neither takes a task for a while. RabbitMQ needs longer to come back."""
        await asyncio.gather(self._restart(fault), self._restart_rabbit(fault))
        return True

    async def _stun(self, fault: Fault) -> bool:
        async with self._rabbit_lock:
            self.rabbit.freeze()
            await asyncio.sleep(fault.seconds)
            self.rabbit.thaw()
        return True

    async def _flood(self, fault: Fault) -> bool:
        """The memory alarm: it reads nothing from who publishes."""
        async with self._rabbit_lock:
            await self._allow(_FLOODED)
            await asyncio.sleep(fault.seconds)
            await self._allow(_WATERMARK)
        return True

    async def _allow(self, share: str) -> None:
        await asyncio.to_thread(self.rabbit.control, "set_vm_memory_high_watermark", share)

    async def _reset(self, fault: Fault) -> bool:
        self.front.reset_all()
        return await super()._reset(fault)

    async def _hole(self, fault: Fault) -> bool:
        self.front.mode = "hole"
        try:
            return await super()._hole(fault)
        finally:
            self.front.mode = "pass"


class _Unread:
    """Of what clients of RabbitMQ send nothing is looked at."""

    def feed(self, data: bytes) -> list[list[bytes]]:
        return []

    def name_of(self, command: list[bytes]) -> str:
        return ""
