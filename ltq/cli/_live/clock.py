"""The broker's clock: times of tasks are by it, and this machine's clock may be wrong."""

import time

from ltq.broker import Broker


class BrokerClock:
    """The time of a broker, read once and carried on from there."""

    def __init__(self, broker_time: float) -> None:
        self._ahead = broker_time - time.monotonic()

    @classmethod
    async def read(cls, broker: Broker) -> "BrokerClock":
        """Ask a broker for its time. Raises `BrokerError`."""
        return cls(await broker.time())

    def now(self) -> float:
        """The broker's time, in Unix seconds."""
        return time.monotonic() + self._ahead
