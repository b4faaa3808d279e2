"""From one queue of RabbitMQ into the store."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.connection import Connection

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service, drop_error, spawn
from ltq.broker import ConsumerConfig
from ltq.brokers.rabbitmq._intake.intake import Intake
from ltq.brokers.rabbitmq._sending.gate import Gate
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError
from ltq.brokers.rabbitmq._server.link import Link
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.quiet import keep_quiet
from ltq.brokers.rabbitmq._server.topology import declare_base, declare_queue
from ltq.brokers.rabbitmq._server.url import UrlSettings
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

ROOM = 500
"""Most messages that are taken and not yet answered."""

_LOOK_WITHIN = 1.0
"""Seconds that a look at how many messages wait has when all is closed."""

_LOOK_AGAIN = 0.05
"""Seconds between two looks at how many messages wait."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts to write what was taken."""


class Pump(Service):
    """Takes the messages of one worker's queue, writes them into the store, then acknowledges.

    It never gives a message back: one that the store cannot take now is kept until it can, and is
    delivered again if this process dies. `consumers` are those that it works for.
    """

    def __init__(
        self, settings: UrlSettings, names: Names, namespace: str, intake: Intake, gate: Gate
    ) -> None:
        super().__init__(f"ltq-rabbitmq-{namespace}", logger)
        self.consumers: list[ConsumerConfig] = []
        self.link = Link(settings, "reads", self._opened, logs_refusals=True)
        self._names = names
        self._queue = names.queue(namespace)
        self._intake = intake
        self._gate = gate
        self._got: list[DeliveredMessage] = []
        self._news = asyncio.Event()
        self._is_taking = False
        self._look: asyncio.Task[int] | None = None
        """The last look at how many messages wait."""

    async def caught_up(self) -> None:
        """Wait until nothing waits in the queue, and what came out of it here is in the store.

        Returns at once if RabbitMQ or the store is away.
        """
        with suppress(AwayError, *CALL_ERRORS):
            while not self._gate.is_closed:
                channel = await self.link.channel()
                # A claim may be cancelled here. The look goes on: `aiormq` closes the channel of a
                # call that is cancelled.
                look = self._look = spawn(self._count(channel), name=f"{self.name}-look")
                look.add_done_callback(drop_error)
                await asyncio.wait([look])
                if not (look.result() or self._got or self._is_taking):
                    break
                await asyncio.sleep(_LOOK_AGAIN)

    async def _count(self, channel: AbstractChannel) -> int:
        keep_quiet()
        found = await channel.queue_declare(self._queue, passive=True)
        return found.message_count or 0

    async def aclose(self) -> None:
        """See `Service.aclose`. What is not acknowledged is delivered to others."""
        if self._look is not None:
            await asyncio.wait([self._look], timeout=_LOOK_WITHIN)
        await super().aclose()
        await self.link.aclose()

    def abandon(self) -> None:
        """See `Service.abandon`."""
        super().abandon()
        self.link.abandon()

    async def _opened(self, connection: Connection) -> AbstractChannel:
        await declare_base(connection, self._names)
        await declare_queue(connection, self._names, self._queue)
        self._got = []
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=ROOM)
        channel.on_consumer_cancel_callbacks.add(self._is_cancelled)
        await channel.basic_consume(self._queue, self._hear)
        return channel

    async def _is_cancelled(self, _: object) -> None:
        """The server has ended the consumer, as the queue is deleted: begin again, with a queue."""
        self.link.give_up(f"{self._queue} was deleted")

    async def _hear(self, message: DeliveredMessage) -> None:
        self._got.append(message)
        self._news.set()

    async def _run(self) -> None:
        keep_quiet()
        while True:
            await self.link.wait_up()
            await self._news.wait()
            self._news.clear()
            # What came over a connection that was lost comes again over the present one.
            messages = [one for one in self._got if not one.channel.is_closed]
            self._got, self._is_taking = [], True
            if messages and await self._take(messages):
                await _acknowledge(messages)
            self._is_taking = False

    async def _take(self, messages: list[DeliveredMessage]) -> bool:
        """Write messages into the store, however long that takes.

        Returns False if they have come over a connection that was lost: they come again.
        """
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        take = self._intake.take
        while not messages[0].channel.is_closed:
            try:
                await take(messages, self._knows)
            except BrokerError as error:
                self._gate.close(error)
                await self._gate.wait_open()
            except AwayError as error:
                logger.debug("%s: %d messages wait", error, len(messages))
            except Exception:
                logger.exception("%s: now its messages are taken one by one", self._queue)
                take = self._intake.take_each
            else:
                return True
            await asyncio.sleep(pauses.next())
        return False

    def _knows(self, lane: str) -> bool:
        return any(config.serves(lane) for config in self.consumers)


async def _acknowledge(messages: list[DeliveredMessage]) -> None:
    """All before the last one were answered before: one answer is for all."""
    last = messages[-1]
    with suppress(*CALL_ERRORS):
        if last.delivery_tag is not None:
            await last.channel.basic_ack(last.delivery_tag, multiple=True)


async def close_pumps(pumps: Iterable[Pump]) -> None:
    """Close them all at once."""
    await asyncio.gather(*(pump.aclose() for pump in pumps))
