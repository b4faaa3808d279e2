"""What is seen of workflows from outside."""

from typing import Any

import pytest

import ltq
from ltq import Status, WorkflowState
from ltq._flow.outline import Outline, find_outline, outline_in
from ltq.broker import Broker
from ltq.broker.feed import Feed
from ltq.broker.flows import OUTLINE_KEY
from ltq.errors import TaskFailedError, TaskNotFoundError
from ltq.testing.conformance._flows.workflows import Shop
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.workflow.tree import WorkflowTree

PLACE = b'{"a":1,"ltq.flow":{"queue":"mail:send","end":"x"}}'
OUTLINE = b'{"ltq.flow":{"queue":"mail:send","end":"x"},"ltq.nodes":{"queues":[],"nodes":[]}}'


async def outline_of(shop: Shop, queue: str, task_id: str) -> Outline | None:
    """The outline of the workflow of a task, as another program finds it."""
    return await find_outline(shop.broker, queue, task_id)


class TestSeenWorkflow:
    async def test_each_of_its_tasks_leads_to_it_also_when_it_has_ended(self, shop: Shop) -> None:
        words = shop.hang.step("x y").then(shop.parse)
        node = ltq.join(words.map(shop.index), words).with_options(id="seen.n1")
        handle = await node.send()
        tasks = [
            (shop.hang.queue, "seen.n1.n0"),
            (shop.parse.queue, "seen.n1.n1"),
            (shop.index.queue, "seen.n1.n2"),
            (handle.queue, "seen.n1"),
        ]
        before = [await outline_of(shop, *task) for task in tasks]
        shop.may_end.set()
        await handle.result(PATIENCE)
        after = [await outline_of(shop, *task) for task in tasks]
        element = await outline_of(shop, shop.index.queue, "seen.n1.n2.1")
        (found,) = {*before, *after, element}
        assert found is not None
        assert [(one.id, one.task_name) for one in found.nodes] == [
            ("seen.n1.n0", "shop:hang"),
            ("seen.n1.n1", "shop:parse"),
            ("seen.n1.n2", "store:index"),
            ("seen.n1", "ltq:join"),
        ]
        assert found.nodes[-1].parents == ("seen.n1.n2", "seen.n1.n1")
        state = await WorkflowTree(shop.broker, found).read()
        assert state == await handle.tree()

    async def test_what_is_in_none_leads_to_none(self, shop: Shop) -> None:
        alone = await shop.fetch.with_options(id="alone.n0").send("x")
        await alone.result(PATIENCE)
        await (await shop.fetch.with_options(id="alone").send("x")).result(PATIENCE)
        for task_id in ("alone", "alone.n0", "alone.7", "nobody"):
            assert await outline_of(shop, shop.fetch.queue, task_id) is None
        handle = await shop.fetch.step("x").then(shop.parse).send()
        await handle.result(PATIENCE)
        for end in (".n1", ".n7", ".n0.3", ".3"):
            assert await outline_of(shop, handle.queue, f"{handle.id}{end}") is None
        for ctx in (b"", b"{", PLACE, OUTLINE, f'{{"{OUTLINE_KEY}":7}}'.encode()):
            assert outline_in(ctx) is None

    async def test_elements_are_counted_while_they_run(self, shop: Shop) -> None:
        handle = await shop.fetch.step("x").then(shop.parse).map(shop.hang).send()
        seen: list[tuple[int | None, int | None]] = []
        async for state in handle.watch_tree(PATIENCE):
            last = state.nodes[-1]
            seen.append((last.done, last.total))
            if last.total is not None:
                shop.may_end.set()
        assert (0, 3) in seen

    async def test_changes_are_told_and_nothing_is_asked_for(self, shop: Shop) -> None:
        handle = await shop.hang.step("x").then(shop.parse).send()
        outline = await outline_of(shop, handle.queue, handle.id)
        assert outline is not None
        told: Any = _Feeds(shop.broker)
        tree = WorkflowTree(told, outline).watch(PATIENCE)
        async for state in tree:
            if state.nodes[0].status is Status.WORKING:
                break
        shop.may_end.set()
        last = [state async for state in tree][-1]
        assert [one.status for one in last.nodes] == [Status.COMPLETED] * 2

    async def test_the_error_of_a_node_is_told(self, shop: Shop) -> None:
        handle = await shop.fetch.step("x").then(shop.fail).then(shop.fetch).send()
        with pytest.raises(TaskFailedError):
            await handle.result(PATIENCE)
        errors = [one.error for one in (await handle.tree()).nodes]
        assert errors == [None, "ValueError: declined", None]

    async def test_one_that_is_stopped_is_waited_for_until_its_replay(self, shop: Shop) -> None:
        handle = await shop.fetch.step("x").then(shop.fail).then(shop.fetch).send()
        with pytest.raises(TaskFailedError):
            await handle.result(PATIENCE)

        async def is_cancelled() -> bool:
            return (await handle.state()).status is Status.CANCELLED

        await eventually(is_cancelled, description="the workflow stops")
        shop.fails = False
        await shop.replay(shop.fail)
        assert await handle.result(PATIENCE) == "X A B a b"

    async def test_one_that_is_unknown_is_not_found(self, shop: Shop) -> None:
        handle = shop.fetch.step("x").then(shop.parse).handle("nobody")
        with pytest.raises(TaskNotFoundError):
            await anext(handle.watch_tree(PATIENCE))
        with pytest.raises(TaskNotFoundError):
            await handle.tree()

    async def test_a_large_one_is_seen_whole(self, shop: Shop) -> None:
        pages = [shop.hang.step(str(number)) for number in range(150)]
        handle = await ltq.join(*pages).send()
        states: list[WorkflowState] = []
        async for state in handle.watch_tree(PATIENCE):
            states.append(state)
            if len(states) == 1:
                assert len(state.nodes) == 151
                await handle.cancel()
        assert {one.status for one in states[-1].nodes} == {Status.CANCELLED}


class _Feeds:
    """What a broker tells by itself, and no more."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def feed(self, queue: str, task_id: str) -> Feed:
        """See `Watcher.feed`."""
        return self._broker.feed(queue, task_id)
