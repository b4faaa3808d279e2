"""Whether the store is there: while it is away, nobody waits for it."""

import asyncio
import logging

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.broker import Broker
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger

logger = logging.getLogger("ltq.broker")
_throttled = ThrottledLogger(logger, every=60.0)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two looks at a store that is away."""


class Gate(Service):
    """Remembers that the store was away, and looks for it until it is back.

    Both is logged once.
    """

    def __init__(self, store: Broker) -> None:
        super().__init__("ltq-rabbitmq-store", logger)
        self._store = store
        self._error: BrokerError | None = None
        self._is_open = asyncio.Event()
        self._is_open.set()

    @property
    def is_closed(self) -> bool:
        """Whether the store is away."""
        return self._error is not None

    def close(self, error: BrokerError) -> None:
        """The store has not taken a call: use it again when it is back.

        One that answers, and refuses this call only, is asked again the next time.
        """
        if error.is_refusal:
            _throttled.warning("the store at %s refuses: %s", self._store.url, error)
        elif self._error is None:
            logger.warning(
                "the store at %s is away; RabbitMQ keeps what is sent until it is back: %s",
                self._store.url,
                error,
            )
            self._error = error
            self._is_open.clear()
            self.start()

    async def wait_open(self) -> None:
        """Wait until the store is there."""
        await self._is_open.wait()

    async def _run(self) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while self._error is not None:
            await asyncio.sleep(pauses.next())
            try:
                await self._store.ping()
            except BrokerError as error:
                self._error = error
            else:
                self._error = None
                self._is_open.set()
                logger.info("the store at %s is back", self._store.url)
