"""What keys of workflows hold that others have spoilt."""

import redis

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.keys import ltq_keys as keys


async def test_a_ctx_in_a_key_of_another_kind_is_none(
    redis_url: str, redis_admin: redis.Redis
) -> None:
    redis_admin.set(keys.task("mail", "a"), "spoilt")
    async with RedisBroker(redis_url) as broker:
        assert await broker.ctx("mail:send", "a") is None
