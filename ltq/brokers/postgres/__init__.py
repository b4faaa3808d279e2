"""Tasks in PostgreSQL: `postgresql://user:password@host/database?schema=ltq`."""

from ltq.brokers.postgres.broker import PostgresBroker

__all__ = ["PostgresBroker"]
