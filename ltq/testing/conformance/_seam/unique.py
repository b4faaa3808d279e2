"""Fingerprints: the same task is not enqueued again for some time."""

from ltq.broker import Broker
from ltq.message import Published
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import QUEUE, claim_one, make_envelope
from ltq.testing.conformance._support.fixtures import MakeConsumer


class TestUnique:
    async def test_the_second_is_not_enqueued(self, broker: Broker) -> None:
        first, second = (make_envelope(fingerprint="f", unique_for=30.0) for _ in range(2))
        assert await broker.publish([first, second]) == [Published.CREATED, Published.DUPLICATE]
        assert await broker.first(QUEUE, "f") == first.id
        assert await broker.states(QUEUE, [second.id]) == [None]

    async def test_the_first_may_be_published_again(self, broker: Broker) -> None:
        first = make_envelope(fingerprint="f", unique_for=30.0)
        assert await broker.publish([first]) == [Published.CREATED]
        assert await broker.publish([first]) == [Published.EXISTS]

    async def test_another_fingerprint_is_another_task(self, broker: Broker) -> None:
        envelopes = [make_envelope(fingerprint=text, unique_for=30.0) for text in ("f", "g")]
        assert await broker.publish(envelopes) == [Published.CREATED] * 2
        assert await broker.first(QUEUE, "h") is None

    async def test_it_ends(self, broker: Broker) -> None:
        assert await broker.publish([make_envelope(fingerprint="f", unique_for=0.05)]) == [
            "created"
        ]

        async def may_be_sent_again() -> bool:
            again = make_envelope(fingerprint="f", unique_for=0.05)
            return await broker.publish([again]) == [Published.CREATED]

        await eventually(may_be_sent_again)

    async def test_it_holds_when_the_first_has_ended(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await broker.publish([make_envelope(fingerprint="f", unique_for=30.0)])
        await broker.release((await claim_one(broker, make_consumer())).lease, result_ttl=0)
        again = make_envelope(fingerprint="f", unique_for=30.0)
        assert await broker.publish([again]) == [Published.DUPLICATE]

    async def test_one_that_is_refused_takes_no_fingerprint(self, broker: Broker) -> None:
        full = make_envelope(fingerprint="f", unique_for=30.0, max_pending=1)
        await broker.publish([make_envelope()])
        assert await broker.publish([full]) == [Published.FULL]
        assert await broker.first(QUEUE, "f") is None
