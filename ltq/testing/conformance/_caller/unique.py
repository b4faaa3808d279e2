"""`unique_for`: sending the same task again gives the handle of the first."""

from dataclasses import dataclass

import pytest

from ltq import Worker
from ltq.broker import Broker


@dataclass(frozen=True)
class Order:
    number: int
    items: list[str]


class TestUniqueSend:
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
