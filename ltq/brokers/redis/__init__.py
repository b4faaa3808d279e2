"""Tasks in Redis or Valkey: `redis://`, `rediss://`, `unix://`."""

from ltq.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
