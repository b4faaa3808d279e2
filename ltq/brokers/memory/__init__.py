"""Tasks in the memory of this process: `memory://name`."""

from ltq.brokers.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
