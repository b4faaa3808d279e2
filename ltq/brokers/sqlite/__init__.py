"""Tasks in one SQLite file, for any number of processes of one machine: `sqlite:///jobs.db`."""

from ltq.brokers.sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
