"""`unique_for`: who sends the same again gets the first one."""

from dataclasses import dataclass

import pytest

from ltq import Worker
from ltq.broker import Broker
from ltq.message import Published
from tests.conformance.conftest import MakeConsumer
from tests.conformance.factories import QUEUE, claim_one, make_envelope
from tests.eventually import eventually


class TestPublish:
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


@dataclass(frozen=True)
class Order:
    number: int
    items: list[str]


class TestSend:
    @pytest.fixture
    def worker(self, broker: Broker) -> Worker:
        return Worker("shop", broker=broker)

    async def test_the_same_arguments_give_the_first_handle(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task(unique_for=30)
        async def build(order: Order, *, fast: bool = False) -> int:
            return order.number

        first = await build.send(Order(1, ["a"]), fast=True)
        again = await build.send(order=Order(1, ["a"]), fast=True)
        other = await build.send(Order(2, ["a"]), fast=True)
        assert first.id == again.id != other.id
        handles = await build.send_many([build.message(Order(n, ["a"]), fast=True) for n in (1, 3)])
        assert handles[0] == first
        assert (await broker.stats([build.queue]))[0].pending == 3
        await worker.run(burst=True)
        assert await again.result(1) == 1

    async def test_however_they_are_spelled(self, worker: Worker) -> None:
        @worker.task(unique_for=30)
        async def draw(size: float, colours: set[str], *, fast: bool = False) -> None: ...

        first = await draw.send(2.0, {"red", "green", "blue"})
        for again in (
            await draw.send(2, {"blue", "green", "red"}, fast=False),
            await draw.send(colours={"green", "blue", "red"}, size=2.0),
        ):
            assert again == first
        assert await draw.send(2.0, {"red"}) != first

    async def test_of_one_task_only(self, worker: Worker) -> None:
        @worker.task(unique_for=30)
        async def build(number: int) -> None: ...

        @worker.task(unique_for=30)
        async def ship(number: int) -> None: ...

        assert (await build.send(1)).id != (await ship.send(1)).id

    async def test_for_one_send(self, worker: Worker) -> None:
        @worker.task
        async def build(number: int) -> None: ...

        once = build.with_options(unique_for=30)
        assert (await build.send(1)).id != (await build.send(1)).id
        assert (await once.send(1)).id == (await once.send(1)).id
