"""Workflows whose start was cut: their sender died, and nobody sent them again."""

from typing import Any

import pytest

import ltq
from ltq import Node, Status
from ltq._flow.carry import carry
from ltq._flow.cut import cancel_cut
from ltq.broker import Broker
from ltq.broker.flows import Ending
from ltq.errors import TaskCancelledError
from ltq.message import Finish
from ltq.testing.conformance._flows.workflows import Shop, statuses
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.fixtures import MakeConsumer


async def send_only(shop: Shop, node: Node[Any], workflow_id: str, *numbers: int) -> None:
    """Send some nodes of a workflow, by their numbers, and then no more."""
    envelopes = node._plan(workflow_id).envelopes(lambda _: None)  # noqa: SLF001  as its sender does
    for number in numbers:
        await shop.broker.publish([envelopes[number]])


async def cancel_all_cut(shop: Shop, *, age: float = -60.0) -> int:
    """Look for what was cut, as `ltq repair` does it ten minutes later."""
    queues = await shop.broker.queues()
    return await cancel_cut(shop.broker, queues, before=await shop.broker.time() - age)


class TestCutStart:
    async def test_what_waits_for_a_node_that_was_never_sent_is_cancelled(self, shop: Shop) -> None:
        node = ltq.join(shop.hang.step("x"), shop.fetch.step("y").then(shop.parse))
        await send_only(shop, node, "cut", 3, 2)
        await send_only(shop, node, "half", 3, 2, 0)
        handles = [node.handle(workflow_id) for workflow_id in ("cut", "half")]
        await eventually(lambda: shop.ran == ["hang"], description="it runs")
        assert await cancel_all_cut(shop, age=600.0) == 0  # its start may be under way
        assert await cancel_all_cut(shop) == 2
        assert await statuses(handles[0]) == [None, None, Status.CANCELLED, Status.CANCELLED]
        for handle in handles:
            with pytest.raises(TaskCancelledError):
                await handle.result(PATIENCE)
        assert await cancel_all_cut(shop) == 0

    async def test_one_that_is_whole_goes_on(self, shop: Shop) -> None:
        node = shop.hang.step("x").then(shop.parse).map(shop.index).then(shop.add)
        handle = await node.send()
        await send_only(shop, node, "last", 3)  # and is repeated now
        await node.with_options(id="last").send()
        await eventually(lambda: shop.ran == ["hang"] * 2, description="both run")
        await shop.fetch.with_options(delay=60).send("no node")
        assert await cancel_all_cut(shop) == 0
        shop.may_end.set()
        assert await handle.result(PATIENCE) == 1
        assert await node.handle("last").result(PATIENCE) == 1

    async def test_a_forgotten_node_whose_ending_is_young_counts_as_ended(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        worker = ltq.Worker("mail", broker=broker)

        @worker.task(name="send", result_ttl=0)
        async def first() -> int:
            return 1

        @worker.task(name="other")
        async def last(one: int) -> int:
            return one

        node = first.step().then(last)
        handle = await node.with_options(id="young").send()
        (delivery,) = (await make_consumer().claim(1)).deliveries
        outcome = Finish(delivery.lease, Status.COMPLETED, b"1", result_ttl=0.0, flow=delivery.ctx)
        await broker.finish([outcome])  # and its worker dies, or is about to carry on
        queues = await broker.queues()
        assert await cancel_cut(broker, queues, before=await broker.time() + 60.0) == 0
        await node.with_options(id="young").send()
        await carry(broker, [Ending.of(outcome)])
        assert await statuses(handle) == [None, Status.PENDING]
