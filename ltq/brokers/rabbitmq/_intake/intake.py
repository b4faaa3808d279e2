"""Messages on their way into the store."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from aiormq import spec
from aiormq.abc import DeliveredMessage
from msgspec.structs import replace

from ltq.broker import Broker
from ltq.brokers.rabbitmq._intake import door
from ltq.brokers.rabbitmq._intake.reading import Dead, Task, read
from ltq.brokers.rabbitmq._sending.on_the_way import OnTheWay
from ltq.brokers.rabbitmq._sending.unstored import Unstored, ref_of
from ltq.brokers.rabbitmq._sending.workflows import waits
from ltq.brokers.rabbitmq._server.copies import REMEMBERED
from ltq.brokers.rabbitmq._server.errors import AwayError
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.publisher import Letter, Publisher
from ltq.brokers.rabbitmq._telling.events import enqueued
from ltq.brokers.rabbitmq._telling.teller import Teller
from ltq.errors import BrokerError, ConfigurationError
from ltq.logger import printable
from ltq.message import Envelope, Published

logger = logging.getLogger("ltq.broker")

_REFUSED: Mapping[Published, Dead] = {
    Published.FULL: Dead("full", "max_pending tasks waited when it came"),
    Published.ID_CONFLICT: Dead("id-conflict", "another task has this id"),
}
"""What the store says of those that it does not take and that are not there already."""


class Intake:
    """Writes messages into the store, and those that can be no task to the dead ones."""

    def __init__(
        self,
        store: Broker,
        publisher: Publisher,
        names: Names,
        on_the_way: OnTheWay,
        unstored: Unstored,
        teller: Teller,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._names = names
        self._on_the_way = on_the_way
        self._unstored = unstored
        self._teller = teller

    async def take(self, messages: Sequence[DeliveredMessage], knows: door.Knows) -> None:
        """When this returns, nothing of them is left to be done.

        It may be repeated. Raises `BrokerError` if the store is away, `AwayError` if RabbitMQ is.
        """
        now = time.time()
        what = [read(message, now) for message in messages]
        await self._resolve(what, knows)
        await self._forget_late(what)
        tasks = {i: one for i, one in enumerate(what) if isinstance(one, Task)}
        given = [(i, envelope) for i, one in tasks.items() for envelope in one.envelopes]
        envelopes = [envelope for _, envelope in given]
        await self._on_the_way.wait(envelopes)
        answers = await self._publish(envelopes)
        self._unstored.discard(map(ref_of, envelopes))
        dead = {i: one for i, one in enumerate(what) if isinstance(one, Dead)}
        for (i, _), answer in zip(given, answers, strict=True):
            if answer in _REFUSED:
                dead[i] = _REFUSED[answer]
        created = zip(envelopes, answers, strict=True)
        self._teller.tell(enqueued(one) for one, answer in created if answer is Published.CREATED)
        await self.bury((messages[i], why) for i, why in dead.items())

    async def _publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Give them to the store: first what waits for others, as their results come to it."""
        answers: dict[int, Published] = {}
        for first in (True, False):
            some = [i for i, one in enumerate(envelopes) if waits(one) == first]
            if some:
                found = await self._store.publish([envelopes[i] for i in some])
                answers.update(zip(some, found, strict=True))
        return [answers[i] for i in range(len(envelopes))]

    async def bury(self, dead: Iterable[tuple[DeliveredMessage, Dead]]) -> None:
        """Put messages to the dead ones, each with its reason. Raises `AwayError`."""
        letters: list[Letter] = []
        for message, why in dead:
            logger.warning(
                "a message in %s is not a task (%s: %s); it is in %s now",
                printable(str(message.routing_key)),
                why.reason,
                printable(why.text),
                self._names.dead,
            )
            letters.append((self._names.dead, "", message.body, _described(message, why)))
        if letters:
            await self._publisher.deliver(letters)

    async def _resolve(self, what: "list[Task | door.Call | Dead]", knows: door.Knows) -> None:
        """Find the queues of calls from other languages."""
        if not any(isinstance(one, door.Call) for one in what):
            return
        queues = await self._store.queues()
        for i, one in enumerate(what):
            if isinstance(one, door.Call):
                what[i] = await self._task_of(one, queues, knows)

    async def _task_of(
        self, call: door.Call, queues: Sequence[str], knows: door.Knows
    ) -> Task | Dead:
        lanes = door.queues_for(call, queues)
        try:
            served = await self._store.served([*lanes])
        except ConfigurationError as error:
            return Dead("unreadable", str(error))
        for (lane, queue), since in zip(lanes.items(), served, strict=True):
            if since is not None or knows(lane):
                envelope = door.envelope_of(call, queue)
                if call.id is not None:
                    mark = f"amqp:{call.id}"
                    envelope = replace(envelope, fingerprint=mark, unique_for=REMEMBERED)
                return Task(envelope, is_late=False)
        place = "" if call.queue is None else f" in the queue {call.queue!r}"
        return Dead("unknown-task", f"no worker has served {call.task!r}{place} within a day")

    async def _forget_late(self, what: "list[Task | door.Call | Dead]") -> None:
        """Of those that came late, keep what the store knows: that is written again, in vain."""
        late: dict[str, list[tuple[int, Envelope]]] = {}
        for i, one in enumerate(what):
            if isinstance(one, Task) and one.is_late:
                late.setdefault(one.envelope.queue, []).append((i, one.envelope))
        for queue, some in late.items():
            states = await self._store.states(queue, [envelope.id for _, envelope in some])
            for (i, _), state in zip(some, states, strict=True):
                if state is None:
                    what[i] = Dead("late", "the store may have had it, and does not know it now")

    async def take_each(self, messages: Sequence[DeliveredMessage], knows: door.Knows) -> None:
        """Take messages one by one: one of them is such that the store fails over it.

        Raises what `take` raises if either is away.
        """
        for message in messages:
            try:
                await self.take([message], knows)
            except (BrokerError, AwayError):
                raise
            except Exception as error:
                await self.bury([(message, Dead("refused", f"{type(error).__name__}: {error}"))])


def _described(message: DeliveredMessage, why: Dead) -> spec.Basic.Properties:
    """The properties of a dead message: its own, with the reason."""
    own = message.header.properties
    reason = {"x-ltq-reason": why.reason, "x-ltq-text": why.text[:1000]}
    return spec.Basic.Properties(
        content_type=own.content_type,
        content_encoding=own.content_encoding,
        headers={**(own.headers or {}), **reason, "x-ltq-queue": message.routing_key or ""},
        delivery_mode=2,
        correlation_id=own.correlation_id,
        message_id=own.message_id,
        timestamp=own.timestamp,
        message_type=own.message_type,
        app_id=own.app_id,
    )
