"""Workers that carry workflows on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import ltq
from ltq import Status, Task, Worker, WorkflowHandle, WorkflowState
from ltq._flow.apart import carry_left
from ltq._flow.carry import carry
from ltq.broker import Broker
from ltq.errors import (
    ConfigurationError,
    InvalidArgumentsError,
    TaskCancelledError,
    TaskFailedError,
    TaskRejectedError,
)
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


class Shop:
    """Two workers of one broker, and their tasks."""

    def __init__(self, broker: Broker, worker: Worker) -> None:
        self.broker: Broker = broker
        self.worker: Worker = worker
        self.other: Worker = Worker("store", broker=broker, concurrency=10, lease=5.0)
        self.fails: bool = True
        self.ran: list[str] = []
        self.may_end: asyncio.Event = asyncio.Event()
        self._declare_results(worker)
        self._declare_endings(worker)

    def _declare_results(self, worker: Worker) -> None:
        @worker.task
        async def fetch(url: str) -> str:
            self.ran.append(f"fetch {url}")
            return f"{url} a b"

        @worker.task
        async def parse(page: str, *, skip: int = 0) -> list[str]:
            return page.split()[skip:]

        @self.other.task
        async def index(word: str, weight: float = 1.0) -> float:
            return len(word) * weight

        @worker.task
        async def add(numbers: list[float]) -> float:
            self.ran.append("add")
            return sum(numbers)

        self.fetch: Task[[str], str] = fetch
        self.parse: Task[..., list[str]] = parse
        self.index: Task[..., float] = index
        self.add: Task[[list[float]], float] = add

    def _declare_endings(self, worker: Worker) -> None:
        @worker.task
        async def tell(both: tuple[float, str]) -> str:
            return f"{both[0]:g} {both[1]}"

        @worker.task
        async def fail(page: str) -> str:
            if self.fails:
                raise ValueError("declined")
            return page.upper()

        @worker.task
        async def hang(page: str) -> str:
            self.ran.append("hang")
            await self.may_end.wait()
            return page

        self.tell: Task[[tuple[float, str]], str] = tell
        self.fail: Task[[str], str] = fail
        self.hang: Task[[str], str] = hang

    async def replay(self, task: Task[..., Any]) -> None:
        """Replay the dead letter of a task."""
        letters = await self.broker.dead_letters(task.queue)
        await self.broker.replay(task.queue, [letter.id for letter in letters])


@pytest_asyncio.fixture(loop_scope="function")
async def shop(broker: Broker, worker: Worker) -> AsyncIterator[Shop]:
    """A shop whose workers run."""
    shop = Shop(broker, worker)
    async with shop.worker, shop.other:
        yield shop


async def statuses(handle: WorkflowHandle[Any]) -> list[Status | None]:
    """Those of all nodes."""
    return [node.status for node in (await handle.tree()).nodes]


class TestWorkflow:
    async def test_results_go_from_node_to_node(self, shop: Shop) -> None:
        page = shop.fetch.step("ltq")
        words = page.then(shop.parse, skip=1)
        total = words.map(shop.index, weight=2.0).then(shop.add)
        node = ltq.join(total, page).then(shop.tell)
        handle = await node.send()
        assert await handle.result(PATIENCE) == "4 ltq a b"
        assert shop.ran == ["fetch ltq", "add"]  # a node that is used twice runs once
        assert await statuses(handle) == [Status.COMPLETED] * 6
        assert await node.handle(handle.id).result(PATIENCE) == "4 ltq a b"

    async def test_a_map_and_a_join_have_results_themselves(self, shop: Shop) -> None:
        words = shop.fetch.step("ltq").then(shop.parse)
        mapped = words.map(shop.index)
        assert await (await mapped.send()).result(PATIENCE) == [3.0, 1.0, 1.0]
        joined = await ltq.join(mapped, words, shop.fetch.step("x")).send()
        assert await joined.result(PATIENCE) == ([3.0, 1.0, 1.0], ["ltq", "a", "b"], "x a b")

    async def test_an_empty_list_completes_a_map_at_once(self, shop: Shop) -> None:
        none = shop.fetch.step("x").then(shop.parse, skip=9)
        assert await (await none.map(shop.index).send()).result(PATIENCE) == []
        assert await (await none.map(shop.index).then(shop.add).send()).result(PATIENCE) == 0

    async def test_one_node_is_a_workflow(self, shop: Shop) -> None:
        handle = await shop.fetch.step("x").send()
        assert await handle.result(PATIENCE) == "x a b"
        assert await shop.broker.endings(shop.fetch.queue) == []

    async def test_a_description_is_sent_any_number_of_times_but_once_by_id(
        self, shop: Shop
    ) -> None:
        node = shop.fetch.step("x").then(shop.parse)
        handles = [await node.send() for _ in range(2)]
        assert [await one.result(PATIENCE) for one in handles] == [["x", "a", "b"]] * 2
        assert shop.ran == ["fetch x"] * 2
        named = node.with_options(id="r-7")
        first, second = await named.send(), await named.send()
        assert first == second == node.handle("r-7")
        assert await second.result(PATIENCE) == ["x", "a", "b"]
        third = await named.send()
        assert await third.result(PATIENCE) == ["x", "a", "b"]
        assert shop.ran == ["fetch x"] * 3

    async def test_options_hold_for_the_whole_tree(self, shop: Shop) -> None:
        node = shop.fetch.step("x").then(shop.parse).map(shop.index)
        handle = await node.with_options(id="r-8", tags=("run:8",)).send()
        await handle.result(PATIENCE)
        for queue, task_id in (
            (shop.fetch.queue, "r-8.n0"),
            (shop.parse.queue, "r-8.n1"),
            (shop.index.queue, "r-8"),
            (shop.index.queue, "r-8.2"),
        ):
            assert (await shop.broker.state(queue, task_id)).tags == ("run:8",)

    async def test_the_tree_is_watched(self, shop: Shop) -> None:
        handle = await shop.hang.step("x").then(shop.parse).send()
        seen: list[WorkflowState] = []
        async for state in handle.watch_tree(PATIENCE):
            seen.append(state)
            if state.nodes[0].status is Status.WORKING:
                shop.may_end.set()
        assert [seen[0].id, seen[-1].status] == [handle.id, Status.COMPLETED]
        first, last = seen[-1].nodes
        assert (first.id, first.task_name, first.parents) == (
            f"{handle.id}.n0",
            "shop:hang",
            (),
        )
        assert (last.id, last.parents) == (handle.id, (first.id,))


class TestFailedWorkflow:
    async def test_the_error_names_the_node_and_the_rest_is_cancelled(self, shop: Shop) -> None:
        failing = shop.fetch.step("x").then(shop.fail)
        handle = await ltq.join(failing, shop.hang.step("y")).send()
        with pytest.raises(TaskFailedError, match=r"shop:fail.*declined") as caught:
            await handle.result(PATIENCE)
        assert caught.value.state.task_name == "shop:fail"
        last = await last_tree(handle)
        assert [node.status for node in last.nodes] == [
            Status.COMPLETED,
            Status.FAILED,
            Status.CANCELLED,
            Status.CANCELLED,
        ]
        assert last.status is Status.FAILED

    async def test_with_continue_only_what_needs_it_is(self, shop: Shop) -> None:
        failing = shop.fetch.step("x").then(shop.fail).then(shop.fetch)
        hanging = shop.hang.step("y")
        handle = await ltq.join(failing, hanging).with_options(on_failure="continue").send()
        with pytest.raises(TaskFailedError, match="declined"):
            await handle.result(PATIENCE)
        shop.may_end.set()
        last = await last_tree(handle)
        by_task = {(node.task_name, node.status) for node in last.nodes}
        assert ("shop:hang", Status.COMPLETED) in by_task
        assert ("shop:fetch", Status.CANCELLED) in by_task

    @pytest.mark.parametrize("policy", ["cancel", "continue"])
    async def test_a_replay_carries_it_on(self, shop: Shop, policy: Any) -> None:
        failing = shop.fetch.step("x").then(shop.fail)
        words = shop.hang.step("y z").then(shop.parse).map(shop.index)
        handle = await ltq.join(failing, words).with_options(on_failure=policy).send()
        with pytest.raises(TaskFailedError):
            await handle.result(PATIENCE)
        shop.fails = False
        shop.may_end.set()
        await shop.replay(shop.fail)
        assert await handle.result(PATIENCE) == ("X A B", [1.0, 1.0])
        assert await statuses(handle) == [Status.COMPLETED] * 6

    async def test_so_does_that_of_an_element(self, shop: Shop) -> None:
        handle = await shop.fetch.step("x").then(shop.parse).map(shop.fail).send()
        with pytest.raises(TaskFailedError, match="declined") as caught:
            await handle.result(PATIENCE)
        assert caught.value.state.id.startswith(f"{handle.id}.")
        await eventually(lambda: is_over(handle), description="the end of all nodes")
        shop.fails = False
        await shop.replay(shop.fail)
        assert await handle.result(PATIENCE) == ["X", "A", "B"]

    async def test_a_map_over_what_is_no_list_is_rejected(self, shop: Shop) -> None:
        node: Any = shop.fetch.step("x")
        handle = await node.map(shop.index).then(shop.add).send()
        with pytest.raises(TaskRejectedError, match="is not a list"):
            await handle.result(PATIENCE)

    async def test_a_result_of_another_type_is_rejected_where_it_arrives(self, shop: Shop) -> None:
        node: Any = shop.fetch.step("x")
        handle = await node.then(shop.add).send()
        with pytest.raises(TaskRejectedError, match=r"cannot be decoded.*numbers"):
            await handle.result(PATIENCE)


async def last_tree(handle: WorkflowHandle[Any]) -> WorkflowState:
    """Its tree when all nodes have ended."""
    return [state async for state in handle.watch_tree(PATIENCE)][-1]


async def is_over(handle: WorkflowHandle[Any]) -> bool:
    """Whether all nodes have ended."""
    return all(one is None or one.is_final for one in await statuses(handle))


class TestCancelledWorkflow:
    async def test_the_whole_tree_is_cancelled(self, shop: Shop) -> None:
        node = ltq.join(shop.hang.step("x"), shop.fetch.step("y").then(shop.hang))
        handle = await node.send()
        await eventually(lambda: shop.ran.count("hang") == 2, description="both run")
        assert await handle.cancel()
        assert set(await statuses(handle)) == {Status.CANCELLED, Status.COMPLETED}
        assert not await handle.cancel()
        with pytest.raises(TaskCancelledError):
            await handle.result(PATIENCE)

    async def test_so_is_it_if_its_last_node_is_cancelled_by_another_way(self, shop: Shop) -> None:
        node = shop.hang.step("x").then(shop.fetch)
        handle = await node.send()
        await eventually(lambda: shop.ran == ["hang"], description="it runs")
        await shop.broker.cancel(handle.queue, handle.id, 60.0)
        await carry_left(shop.broker, handle.queue)
        assert await statuses(handle) == [Status.CANCELLED] * 2

    async def test_elements_of_a_map_are_cancelled(self, shop: Shop) -> None:
        handle = await shop.fetch.step("x").then(shop.parse).map(shop.hang).send()
        await eventually(lambda: shop.ran.count("hang") == 3, description="all run")
        assert await handle.cancel()
        for number in range(3):
            state = await shop.broker.state(shop.hang.queue, f"{handle.id}.{number}")
            assert state.status is Status.CANCELLED


class TestAbandonedWorkflow:
    async def test_what_a_worker_has_left_another_one_carries_on(
        self, broker: Broker, worker: Worker
    ) -> None:
        """A worker that dies between an outcome and what follows from it."""
        shop = Shop(broker, worker)
        handle = await shop.fetch.step("x").then(shop.parse).map(shop.index).send()
        for queue in (shop.fetch.queue, shop.parse.queue):
            async with broker.consumer([queue], lease=5.0) as consumer:
                (delivery,) = await broker.claim(consumer, 1, timeout=PATIENCE)
                result = b'"x a"' if queue == shop.fetch.queue else b'["x","a"]'
                await broker.release(delivery.lease, result=result)
            endings = await broker.endings(queue)
            await asyncio.gather(*(carry(broker, endings) for _ in range(2)))  # two workers find it
        async with shop.other:
            assert await handle.result(PATIENCE) == [1.0, 1.0]


class TestWorkflowMistakes:
    async def test_arguments_are_checked_at_once(self, shop: Shop) -> None:
        step: Any = shop.fetch.step
        with pytest.raises(InvalidArgumentsError, match="url"):
            step(7)
        then: Any = shop.fetch.step("x").then
        with pytest.raises(InvalidArgumentsError, match="skip"):
            then(shop.parse, skip="no")
        with pytest.raises(InvalidArgumentsError, match="is not a task"):
            then(print)
        join: Any = ltq.join
        with pytest.raises(InvalidArgumentsError, match="takes 1 to 100000 nodes, not 0"):
            join()
        with pytest.raises(InvalidArgumentsError, match="is not a node"):
            join(7)
        with pytest.raises(InvalidArgumentsError, match="takes 1 to 100000 nodes, not 100001"):
            join(*[shop.fetch.step("x")] * 100_001)
        node: Any = shop.fetch.step("x")
        for _ in range(100):
            node = join(node)
        with pytest.raises(InvalidArgumentsError, match="nested at most 100 deep"):
            join(node)

    async def test_options_are_checked_at_once(self, shop: Shop) -> None:
        node: Any = shop.fetch.step("x")
        for options in ({"id": "no id!"}, {"on_failure": "stop"}, {"tags": "a"}, {"delay": 3}):
            with pytest.raises(ConfigurationError):
                node.with_options(**options)
        for option in ({"id": "a"}, {"connection": object()}):
            with pytest.raises(ConfigurationError, match="a node has no"):
                shop.fetch.with_options(**option).step("x")
        delayed = shop.fetch.step("x").then(shop.parse.with_options(delay=3))
        with pytest.raises(ConfigurationError, match="delay"):
            await delayed.send()

    async def test_nodes_have_one_broker(self, shop: Shop) -> None:
        elsewhere = Worker("elsewhere", broker_url="memory://elsewhere")

        @elsewhere.task
        async def far(page: str) -> str:
            return page

        with pytest.raises(ConfigurationError, match="one broker"):
            await shop.fetch.step("x").then(far).send()

    async def test_an_id_of_another_task_is_refused(self, shop: Shop) -> None:
        hanging = await shop.hang.with_options(id="mine").send("x")
        node = shop.fetch.step("x").then(shop.hang).with_options(id="mine")
        assert (await node.send()).id == "mine"  # the same task has it
        other = shop.fetch.step("x").then(shop.parse).with_options(id="mine")
        with pytest.raises(ConfigurationError, match="belongs to another task"):
            await other.send()
        await hanging.cancel()
