"""Tasks in Redis or Valkey: `redis://`, `redis+sentinel://`, `redis+cluster://`, `unix://`."""

from ltq.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
