"""Publishing events, beside all else."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
from aiormq import spec
from aiormq.abc import AbstractChannel
from aiormq.channel import Channel

from ltq._aio.service import Service
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError
from ltq.brokers.rabbitmq._server.link import Link
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.quiet import keep_quiet
from ltq.brokers.rabbitmq._telling.events import Event, Run, ended, started
from ltq.message import Delivery, Lease, Outcome, Receipt

logger = logging.getLogger("ltq.broker")

_MOST_KEPT = 10_000
"""Most events that wait, and most runs whose end is awaited. The oldest are dropped."""

_PAUSE = 0.5
"""Seconds until a server that is away is asked again."""

_encode = msgspec.json.Encoder().encode


class Teller(Service):
    """Publishes events, in their order. Nobody waits for that, and nothing depends on it."""

    def __init__(self, link: Link, names: Names) -> None:
        super().__init__("ltq-rabbitmq-events", logger)
        self._link = link
        self._exchange = names.events
        self._events: deque[Event] = deque(maxlen=_MOST_KEPT)
        self._runs: dict[Lease, Run] = {}
        self._channel: AbstractChannel | None = None

    def tell(self, events: Iterable[Event]) -> None:
        """Publish these soon."""
        self._events.extend(events)
        if self._events:
            self.start()

    def started(self, deliveries: Sequence[Delivery], worker: str) -> None:
        """Tell that runs begin, and remember them for their ends."""
        for delivery in deliveries:
            run = Run(delivery.task_name, delivery.tries + 1, worker)
            self._runs[delivery.lease] = run
        while len(self._runs) > _MOST_KEPT:
            del self._runs[next(iter(self._runs))]
        self.tell(started(delivery, worker) for delivery in deliveries)

    def ended(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        """Tell how runs have ended that began here."""
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            run = self._runs.pop(outcome.lease, None)
            if run is not None and receipt.is_recorded:
                self.tell(ended(outcome, run))

    async def _run(self) -> None:
        keep_quiet()
        while self._events:
            try:
                channel = await self._open()
                while self._events:
                    await self._publish(channel, self._events[0])
                    self._events.popleft()
            except (AwayError, *CALL_ERRORS) as error:
                self._channel = None
                logger.debug("%d events wait: %s", len(self._events), error)
                await asyncio.sleep(_PAUSE)

    async def _open(self) -> Channel:
        """A channel of its own: without confirmations, which would hold up those of sends."""
        await self._link.channel()
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._link.connection.channel(publisher_confirms=False)
        assert isinstance(self._channel, Channel)
        return self._channel

    async def _publish(self, channel: Channel, event: Event) -> None:
        await channel.basic_publish(
            _encode(event),
            exchange=self._exchange,
            routing_key=event.routing_key,
            properties=spec.Basic.Properties(
                content_type="application/json",
                delivery_mode=1,
                message_id=f"{event.id}.{event.attempt}.{event.event}",
                message_type=event.event,
                app_id="ltq",
            ),
            wait=False,
        )
