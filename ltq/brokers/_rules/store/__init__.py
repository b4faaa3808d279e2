"""A broker's calls as steps: what a store of any kind derives from."""

from ltq.brokers._rules.store.store import Store

__all__ = ["Store"]
