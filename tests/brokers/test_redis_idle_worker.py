"""What a worker asks of Redis that has nothing to do: at most one command a second."""

import pytest
import redis

import ltq
from tests.elapse import elapse

pytestmark = pytest.mark.slow

_SECONDS = 22
"""Twice as long as what it does again and again. Half a minute after its start, at the earliest, it
looks once more for tasks that nobody runs, and then every ten minutes: that is not measured."""

_AT_ITS_START = 3
"""Commands of what it does once a minute or less often, some time after its start."""


async def test_an_idle_worker_asks_for_little(redis_url: str) -> None:
    worker = ltq.Worker("idle", broker_url=redis_url)

    @worker.task
    async def nothing() -> None: ...

    def calls(admin: redis.Redis) -> int:
        """How many commands were called by now, those within scripts among them."""
        seen = admin.info("commandstats").items()
        own = ("cmdstat_info", "cmdstat_hello", "cmdstat_client|setinfo", "cmdstat_client")
        return sum(int(one["calls"]) for name, one in seen if name not in own)

    with redis.Redis.from_url(redis_url, decode_responses=True) as admin:
        async with worker:
            await elapse(8, "what it does at its start, and looks for soon after it, is over")
            before = calls(admin)
            for _ in range(3):
                await elapse(_SECONDS / 3, "a part of the time that is measured")
            assert calls(admin) - before <= _SECONDS + _AT_ITS_START
