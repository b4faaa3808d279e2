"""Publishing, with the confirmation of the server."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from aiormq import spec
from aiormq.abc import AbstractChannel
from aiormq.channel import Channel
from aiormq.connection import Connection
from aiormq.exceptions import ChannelNotFoundEntity, PublishError

from ltq._aio.service import spawn
from ltq.brokers.rabbitmq._server.copies import LARGEST, WORKFLOW_VERSION, encode, properties
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError, RefusedError, away
from ltq.brokers.rabbitmq._server.link import Link
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.topology import count, declare_base, declare_queue
from ltq.brokers.rabbitmq._server.url import UrlSettings
from ltq.message import Envelope

PUBLISH_WITHIN = 3.0
"""Seconds that the server has to confirm what it was given."""

_SLOWEST = 4 << 20
"""Bytes a second that go at least over a connection: what is large has more time."""

_AT_ONCE = 500
"""Most messages of one call that are on their way to it."""

Letter = tuple[str, str, bytes, spec.Basic.Properties]
"""Exchange, routing key, body and properties of a message."""


class Publisher:
    """Publishes over a connection of its own, in one event loop: one that is blocked or slow does
    not hold up what is read."""

    def __init__(self, settings: UrlSettings, names: Names) -> None:
        self.link = Link(settings, "sends", self._opened)
        self._settings = settings
        self._names = names
        self._declared: dict[str, asyncio.Task[None]] = {}
        """By queue, its declaration over the present connection."""

    async def check(self, queues: Iterable[str] = ()) -> None:
        """See to it that these of LTQ's queues can be published to, before anything else is done.

        Raises `AwayError` if the server has never taken anything because it refuses to. That it is
        away now is no error here.
        """
        try:
            await self.link.channel()
            async with asyncio.timeout(PUBLISH_WITHIN):
                await self._declare({self._names.queue_of(queue) for queue in queues})
        except (AwayError, *CALL_ERRORS) as error:
            meant = self._away(error)
            if self.link.is_refused(meant):
                raise meant from error

    async def publish(self, envelopes: Sequence[Envelope], *, is_alone: bool = False) -> None:
        """Give the server copies of envelopes; it has them all when this returns.

        Raises `AwayError` if it has not confirmed one of them.
        """
        now = time.time()
        letters = [
            (
                self._names.tasks,
                self._names.queue_of(envelope.queue),
                encode(envelope, now, is_alone=is_alone),
                properties(envelope, now),
            )
            for envelope in envelopes
        ]
        for start in range(0, len(letters), _AT_ONCE):
            await self.deliver(letters[start : start + _AT_ONCE])

    async def publish_together(self, envelopes: Sequence[Envelope]) -> None:
        """Give the server one copy of several envelopes, of which the last one counts.

        Raises `AwayError` if it has not confirmed it, and `BrokerError` if it is too large.
        """
        now, (*before, last) = time.time(), envelopes
        body = encode(last, now, is_alone=True, before=before)
        if len(body) > LARGEST:
            raise RefusedError(
                f"{len(envelopes)} tasks of a workflow have {len(body)} bytes: at most {LARGEST} "
                "go through RabbitMQ while the store is away"
            )
        told = properties(last, now, WORKFLOW_VERSION)
        await self.deliver([(self._names.tasks, self._names.queue_of(last.queue), body, told)])

    async def deliver(self, letters: Sequence[Letter]) -> None:
        """Give the server messages; it has them all when this returns. Raises `AwayError`."""
        channel = await self.link.channel()
        try:
            async with asyncio.timeout(_within(letters)):
                await self._declare(self._queues(letters))
                left = await _publish(channel, letters)
                self.link.was_used = True
                if left:  # somebody has deleted a queue
                    self._declared.clear()
                    await declare_base(self.link.connection, self._names)
                    await self._declare(self._queues(left))
                    if await _publish(channel, left):
                        raise AwayError(f"{self._settings.place}: {left[0][1]} cannot be reached")
        except TimeoutError as error:
            await self.link.stalled(channel)
            raise self._away(error) from error
        except CALL_ERRORS as error:
            raise self._away(error) from error

    async def may_hold(self, queue: str) -> bool:
        """Whether messages for one of LTQ's queues may wait: also if the server cannot tell."""
        try:
            await self.link.channel()
            async with asyncio.timeout(PUBLISH_WITHIN):
                messages, _ = await count(self.link.connection, self._names.queue_of(queue))
        except ChannelNotFoundEntity:
            return False
        except (AwayError, *CALL_ERRORS):
            return True
        return messages > 0

    async def _opened(self, connection: Connection) -> AbstractChannel:
        self._declared.clear()
        await declare_base(connection, self._names)
        return await connection.channel()

    def _queues(self, letters: Sequence[Letter]) -> set[str]:
        return {key for exchange, key, *_ in letters if exchange == self._names.tasks}

    def _away(self, error: Exception) -> AwayError:
        if isinstance(error, AwayError):
            return error
        return away(self._settings.place, self._settings.user, error)

    async def _declare(self, queues: Iterable[str]) -> None:
        """Declare queues, each once for a connection."""
        for queue in queues:
            declared = self._declared.get(queue)
            if declared is None or (declared.done() and _has_failed(declared)):
                work = declare_queue(self.link.connection, self._names, queue)
                declared = self._declared[queue] = spawn(work, name="ltq-rabbitmq-declare")
            if not declared.done():
                await asyncio.wait([declared])
            declared.result()


def _within(letters: Sequence[Letter]) -> float:
    """Seconds that the server has to confirm messages."""
    return PUBLISH_WITHIN + sum(len(body) for _, _, body, _ in letters) / _SLOWEST


async def _publish(channel: AbstractChannel, letters: Sequence[Letter]) -> list[Letter]:
    """Publish, and wait for the confirmations. Returns what no queue has got.

    Raises errors of `aiormq`, when all have ended.
    """
    assert isinstance(channel, Channel)
    answers = await asyncio.gather(
        *(
            channel.basic_publish(
                body,
                exchange=exchange,
                routing_key=key,
                properties=described,
                mandatory=True,
                wait=False,
            )
            for exchange, key, body, described in letters
        ),
        return_exceptions=True,
    )
    left: list[Letter] = []
    for letter, answer in zip(letters, answers, strict=True):
        if isinstance(answer, PublishError):
            left.append(letter)
        elif isinstance(answer, BaseException):
            raise answer
    return left


def _has_failed(task: "asyncio.Task[None]") -> bool:
    return task.cancelled() or task.exception() is not None
