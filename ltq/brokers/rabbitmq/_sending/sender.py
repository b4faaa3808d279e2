"""Sending envelopes."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from ltq._aio.batcher import Batcher
from ltq.broker import Broker
from ltq.brokers.rabbitmq._sending.gate import Gate
from ltq.brokers.rabbitmq._sending.on_the_way import OnTheWay
from ltq.brokers.rabbitmq._sending.unstored import Unstored
from ltq.brokers.rabbitmq._sending.workflows import Workflows
from ltq.brokers.rabbitmq._server.copies import fits, is_marked, marked
from ltq.brokers.rabbitmq._server.errors import AwayError, RefusedError
from ltq.brokers.rabbitmq._server.publisher import Publisher
from ltq.errors import BrokerError
from ltq.message import Envelope, Published

_AT_ONCE = 500
"""Most single sends that go together."""


Way = Callable[[list[Envelope]], Awaitable[list[Published]]]


class Sender:
    """Sends envelopes, in one event loop."""

    def __init__(
        self,
        publisher: Publisher,
        store: Broker,
        gate: Gate,
        on_the_way: OnTheWay,
        unstored: Unstored,
    ) -> None:
        self._publisher = publisher
        self._store = store
        self._gate = gate
        self._on_the_way = on_the_way
        self._unstored = unstored
        self.single = Batcher(self._send, _AT_ONCE, _is_lasting, name="ltq-rabbitmq-sender")
        """Joins sends of one task each: what comes meanwhile goes together."""
        self._workflows = Workflows()

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`.

        Raises `BrokerError` if neither takes them, or if RabbitMQ has refused from the beginning.
        """
        if len(envelopes) == 1 and fits(envelopes[0]):
            return [await self.single.call(envelopes[0])]
        return await self._send(envelopes)

    async def _send(self, envelopes: Sequence[Envelope]) -> list[Published]:
        try:
            await self._publisher.check({one.queue for one in envelopes})
        except AwayError as error:
            raise RefusedError(str(error)) from error
        envelopes = _marked(envelopes)
        with self._on_the_way.sending(envelopes):
            return await self._send_marked(envelopes)

    async def _send_marked(self, envelopes: list[Envelope]) -> list[Published]:
        """Send each as it has to be; the answers are in their order."""
        by_way: dict[Way, list[int]] = {}
        for i, envelope in enumerate(envelopes):
            by_way.setdefault(self._way_of(envelope), []).append(i)
        answers: dict[int, Published] = {}
        for send, positions in by_way.items():
            some = await send([envelopes[i] for i in positions])
            answers.update(zip(positions, some, strict=True))
        return [answers[i] for i in range(len(envelopes))]

    def _way_of(self, envelope: Envelope) -> Way:
        if not fits(envelope):
            return self._store.publish
        if self._gate.is_closed:
            return self._past_store
        return self._both if _is_plain(envelope) else self._store_first

    async def _both(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Into RabbitMQ, then into the store: each has them, unless it is away."""
        taken = await self._copy(envelopes)
        try:
            answers = await self._store.publish(envelopes)
        except BrokerError as error:
            self._gate.close(error)
            if taken is not None:
                raise _neither(taken, error) from error
            # What is there may look as if the store had had it, once it is old.
            await self._copy(envelopes, is_alone=True)
            self._unstored.add(envelopes)
            return [Published.CREATED] * len(envelopes)
        return await self._meant(envelopes, answers)

    async def _store_first(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """The store answers; what it has taken goes into RabbitMQ as well."""
        try:
            if before := self._workflows.before(envelopes):
                await self._store.publish(before)
            answers = await self._store.publish(envelopes)
        except BrokerError as error:
            self._gate.close(error)
            return await self._past_store(envelopes)
        created = [
            envelope
            for envelope, answer in zip(envelopes, answers, strict=True)
            if answer is Published.CREATED and is_marked(envelope)
        ]
        if created:
            await self._copy(created)
        return answers

    async def _past_store(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Into RabbitMQ alone: the store was away, and is asked once more if RabbitMQ is, too."""
        taken = await self._copy(envelopes, is_alone=True)
        if taken is None:
            self._unstored.add(envelopes)
            return [Published.CREATED] * len(envelopes)
        try:
            if before := self._workflows.before(envelopes):
                await self._store.publish(before)
            return await self._meant(envelopes, await self._store.publish(envelopes))
        except BrokerError as error:
            raise _neither(taken, error) from error

    async def _copy(
        self, envelopes: Sequence[Envelope], *, is_alone: bool = False
    ) -> AwayError | None:
        """Give RabbitMQ copies; return why it has not got them, if it is away.

        Raises `BrokerError` if it refuses, as it did from the beginning.
        """
        try:
            if is_alone:
                envelopes, workflows = self._workflows.split(envelopes)
                for workflow in workflows:
                    await self._publisher.publish_together(workflow)
            if envelopes:
                await self._publisher.publish(envelopes, is_alone=is_alone)
        except AwayError as error:
            if self._publisher.link.is_refused(error):
                raise RefusedError(str(error)) from error
            return error
        return None

    async def _meant(
        self, envelopes: Sequence[Envelope], answers: Sequence[Published]
    ) -> list[Published]:
        """What answers mean if the copies may have been quicker: that those created the tasks."""
        meant = list(answers)
        for i, (envelope, answer) in enumerate(zip(envelopes, answers, strict=True)):
            if not is_marked(envelope):
                continue
            if answer is Published.DUPLICATE:  # it came, ran, and is gone
                meant[i] = Published.CREATED
            elif answer is Published.EXISTS:
                first = await self._store.first(envelope.queue, envelope.fingerprint)
                is_first = all(one.id != envelope.id for one in envelopes[:i])
                is_new = first == envelope.id and is_first
                meant[i] = Published.CREATED if is_new else answer
        return meant


def _marked(envelopes: Sequence[Envelope]) -> list[Envelope]:
    """The envelopes with the fingerprints of their sends: one send for each id."""
    by_id: dict[str, Envelope] = {}
    result = []
    for envelope in envelopes:
        mine = marked(envelope)
        first = by_id.setdefault(envelope.id, mine)
        if is_marked(mine) and is_marked(first):
            mine = replace(mine, fingerprint=first.fingerprint)
        result.append(mine)
    return result


def _is_lasting(error: Exception) -> bool:
    """Whether those that wait would fail, too."""
    return isinstance(error, BrokerError)


def _is_plain(envelope: Envelope) -> bool:
    """Whether the store cannot but take it: nothing is there with its id, and it has no terms."""
    return envelope.has_new_id and envelope.max_pending is None and is_marked(envelope)


def _neither(taken: AwayError, error: BrokerError) -> BrokerError:
    return BrokerError(f"neither RabbitMQ nor the store takes tasks: {taken}; {error}")
