"""What may go wrong with a workflow: its sends, its maps, and what arrives in large amounts."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import Message, Middleware, Status, Task, Worker
from ltq._flow import slots
from ltq._flow.apart import carry_left
from ltq._flow.expand import expand, send_elements
from ltq._flow.go_on import go_on
from ltq._flow.values import LIST, Destination
from ltq.broker.flows import MAX_SLOTS, Arrival, Arrived
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError, ConfigurationError, DecodeError
from ltq.message import Envelope, Failure, Finish
from ltq.names import new_id
from ltq.options import DEFAULT_RESULT_TTL
from ltq.testing import FlakyBroker
from tests.flow.stage import Stage


class Counted(Middleware):
    """Sees each message that is sent, and is told what became of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.told: list[bool | None] = []

    def on_send(
        self, message: Message[Any], task: Task[..., Any]
    ) -> Callable[[bool | None], object]:
        message.ctx["seen"] = task.name
        self.seen.append(task.name)
        return self.told.append

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        yield


@pytest.fixture
def stage() -> Stage:
    return Stage()


class TestMiddlewareThatSeesSends:
    @pytest.fixture
    def counted(self) -> Counted:
        return Counted()

    @pytest.fixture
    def broker(self) -> FlakyBroker:
        return FlakyBroker(MemoryBroker(f"memory://{new_id()}"))

    @pytest.fixture
    def node(self, counted: Counted, broker: FlakyBroker) -> "ltq.Node[Any]":
        worker = Worker("one", broker=broker, middlewares=[counted])

        @worker.task
        async def numbers(count: int) -> list[int]:
            return list(range(count))

        @worker.task
        async def add(given: list[int]) -> int:
            assert ltq.current().message.ctx["seen"] == "one:add"
            return sum(given)

        return ltq.join(numbers.step(2).then(add), numbers.step(3))

    async def test_it_sees_each_node_that_runs_something(
        self, node: "ltq.Node[Any]", counted: Counted
    ) -> None:
        await node.send()
        assert sorted(counted.seen) == ["one:add", "one:numbers", "one:numbers"]
        assert counted.told == [True, True, True]

    async def test_what_is_there_already_was_not_enqueued(
        self, node: "ltq.Node[Any]", counted: Counted
    ) -> None:
        for _ in range(2):
            await node.with_options(id="a").send()
        assert counted.told == [True, True, True, False, False, False]

    async def test_what_was_refused_was_not(
        self, node: "ltq.Node[Any]", counted: Counted, broker: FlakyBroker
    ) -> None:
        # The first node to be sent is the last one; the id of the other one is taken.
        await broker.publish([Envelope(id="a.n0", queue="one:numbers", task_name="else", body=b"")])
        with pytest.raises(ConfigurationError, match=r"id 'a\.n0' belongs to another task"):
            await node.with_options(id="a").send()
        assert counted.told == [False, False, False]

    async def test_nobody_knows_of_what_the_broker_did_not_answer(
        self, node: "ltq.Node[Any]", counted: Counted, broker: FlakyBroker
    ) -> None:
        broker.fail("send")
        with pytest.raises(BrokerError):
            await node.send()
        assert counted.told == [None, None, None]


class TestSerializers:
    def test_results_are_passed_on_as_bytes_of_one_form(self, stage: Stage) -> None:
        packed = Worker("packed", broker=stage.broker, serializer="msgpack")

        @packed.task
        async def total(given: list[int]) -> int:
            return sum(given)

        with pytest.raises(ConfigurationError, match="need the same serializer, json or msgpack"):
            stage.numbers.step(1).then(total)
        with pytest.raises(ConfigurationError, match="not json, msgpack"):
            ltq.join(stage.numbers.step(1), total.step([1]))


DEEP = b"[" * 200_000 + b"]" * 200_000


async def begin(stage: Stage, node_id: str, result: bytes, serializer: str) -> Any:
    """The list comes that a map waits for."""
    destination = Destination(stage.double.queue, node_id, LIST, 1)
    return await expand(stage.broker, destination, result, serializer, revives=False)


class TestMaps:
    async def waiting(self, stage: Stage) -> tuple["ltq.WorkflowHandle[Any]", str, str]:
        """A map that waits for its list, with its queue and id."""
        handle = await stage.numbers.step(2).map(stage.double).send()
        return handle, stage.double.queue, handle.id

    async def test_there_may_be_so_many_elements_and_no_more(self, stage: Stage) -> None:
        handle, _, node_id = await self.waiting(stage)
        many = b"[" + b"1," * (MAX_SLOTS - 1) + b"1]"
        answer = await begin(stage, node_id, many, "json")
        assert answer.status is Status.REJECTED
        state = await handle.state()
        assert state.status is Status.REJECTED
        assert "100001 elements, at most 100000 are allowed" in (state.error or "")

    async def test_a_list_in_another_form_is_refused(self, stage: Stage) -> None:
        handle, _, node_id = await self.waiting(stage)
        await begin(stage, node_id, b"\x90", "msgpack")
        assert "its list came as msgpack, not json" in ((await handle.state()).error or "")

    async def test_what_is_nested_too_deep_is_refused_as_that(self, stage: Stage) -> None:
        handle, _, node_id = await self.waiting(stage)
        await begin(stage, node_id, DEEP, "json")
        assert "what it got is nested too deep" in ((await handle.state()).error or "")

    async def test_an_id_of_an_element_may_be_taken(self, stage: Stage) -> None:
        handle, queue, node_id = await self.waiting(stage)
        other = Envelope(id=f"{node_id}.1", queue=queue, task_name="two:text", body=b"[[],{}]")
        await stage.broker.publish([other])
        await begin(stage, node_id, b"[1,2,3]", "json")
        state = await handle.state()
        assert state.status is Status.REJECTED
        assert f"another task has the id {node_id}.1 of an element" in (state.error or "")

    async def test_a_map_that_has_ended_is_not_begun(self, stage: Stage) -> None:
        handle, queue, node_id = await self.waiting(stage)
        assert await begin(stage, "unknown", b"[1]", "json") is Arrived.ENDED
        assert await begin(stage, node_id, b"[]", "json") is Arrived.FULL
        await go_on(stage.broker, queue, node_id)
        assert await handle.result(timeout=5) == []
        assert await begin(stage, node_id, b"[1]", "json") is Arrived.ENDED
        await send_elements(stage.broker, queue, node_id, [b"1"])
        (state,) = await stage.broker.states(queue, [f"{node_id}.0"])
        assert state is None

    async def test_one_that_is_cancelled_before_they_are_sent_sends_none(
        self, stage: Stage
    ) -> None:
        _, queue, node_id = await self.waiting(stage)
        await stage.broker.cancel(queue, node_id, DEFAULT_RESULT_TTL)
        await send_elements(stage.broker, queue, node_id, [b"1", b"2"])
        assert await stage.broker.states(queue, [f"{node_id}.0", f"{node_id}.1"]) == [None, None]

    async def test_one_that_is_cancelled_meanwhile_cancels_them(self) -> None:
        class Late(MemoryBroker):
            """Cancels the map while its elements are sent."""

            async def publish(self, envelopes: Sequence[Envelope]) -> Any:
                answers = await super().publish(envelopes)
                for envelope in envelopes:
                    if "." in envelope.id and ".n" not in envelope.id:
                        node_id = envelope.id.rpartition(".")[0]
                        await super().cancel(envelope.queue, node_id, DEFAULT_RESULT_TTL)
                return answers

        stage = Stage(Late(f"memory://{new_id()}"))
        _, queue, node_id = await self.waiting(stage)
        await send_elements(stage.broker, queue, node_id, [b"1", b"2"])
        states = await stage.broker.states(queue, [f"{node_id}.0", f"{node_id}.1"])
        assert [one and one.status for one in states] == [Status.CANCELLED] * 2


class Counting(MemoryBroker):
    """Notes how much each call brings."""

    def __init__(self) -> None:
        super().__init__(f"memory://{new_id()}?history=0")
        self.calls: list[tuple[int, int]] = []

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        self.calls.append((len(arrivals), sum(len(one.value) for one in arrivals)))
        return await super().arrive(queue, arrivals)


class TestManyArrivals:
    async def test_none_is_no_call(self) -> None:
        broker = Counting()
        assert await slots.arrive(broker, "one:add", []) == []
        assert broker.calls == []

    async def test_calls_have_so_many_values(self) -> None:
        broker = Counting()
        given = [Arrival("a", number, 1200, b"1") for number in range(1200)]
        assert await slots.arrive(broker, "one:add", given) == [Arrived.ENDED] * 1200
        assert [count for count, _ in broker.calls] == [500, 500, 200]

    async def test_and_so_many_bytes(self) -> None:
        broker = Counting()
        given = [Arrival("a", number, 9, b"x" * 400_000) for number in range(9)]
        await slots.arrive(broker, "one:add", given)
        assert [count for count, _ in broker.calls] == [2, 2, 2, 2, 1]

    async def test_one_that_is_larger_goes_alone(self) -> None:
        broker = Counting()
        sizes = [10, 2_000_000, 10]
        given = [Arrival("a", number, 3, b"x" * size) for number, size in enumerate(sizes)]
        await slots.arrive(broker, "one:add", given)
        assert broker.calls == [(1, 10), (1, 2_000_000), (1, 10)]

    async def test_an_ending_that_needs_two_tasks_reaches_both(self) -> None:
        stage = Stage(Counting())
        first = stage.numbers.step(2)
        handle = await ltq.join(first.then(stage.add), first.then(stage.add)).send()
        delivery = await stage.claim_one(stage.numbers.queue)
        await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"[1,2]")])
        assert await carry_left(stage.broker, stage.numbers.queue) == 1
        for _ in range(2):
            delivery = await stage.claim_one(stage.add.queue)
            await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"3")])
        await carry_left(stage.broker, stage.add.queue)
        assert await handle.result(timeout=5) == (3, 3)


class TestResults:
    def test_what_was_spoilt_is_told(self, stage: Stage) -> None:
        part = ltq.join(stage.numbers.step(2))._part
        for spoilt, text in ((b"{", "is not a list"), (DEEP, "is nested too deep")):
            with pytest.raises(DecodeError, match=f"ltq:join: its result {text}"):
                part.decode(spoilt, "json")


class TestLooks:
    def test_a_node_names_what_it_runs_and_needs(self, stage: Stage) -> None:
        first = stage.numbers.step(2)
        assert repr(first) == "<Node one:numbers>"
        assert repr(first.then(stage.add)) == "<Node one:add after one:numbers>"
        assert repr(ltq.join(first, first)) == "<Node ltq:join after one:numbers, one:numbers>"

    async def test_a_handle_names_its_last_node(self, stage: Stage) -> None:
        handle = await stage.total.with_options(id="a", result_ttl=600).send()
        assert repr(handle) == "<WorkflowHandle of one:add a>"

    def test_an_id_is_a_text(self, stage: Stage) -> None:
        wrong: Any = 7
        with pytest.raises(ConfigurationError, match="id=7 is not allowed: the text of an id"):
            stage.total.handle(wrong)


class TestTimeouts:
    async def test_one_that_may_go_on_after_a_replay_is_waited_for_so_long(
        self, stage: Stage
    ) -> None:
        handle = await stage.numbers.step(2).then(stage.add).send()
        delivery = await stage.claim_one(stage.numbers.queue)
        failure = Failure("ValueError", "ValueError: no")
        failed = Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)
        await stage.broker.finish([failed])
        await carry_left(stage.broker, stage.numbers.queue)
        with pytest.raises(ltq.TaskFailedError):
            await handle.result(timeout=5)
        await stage.broker.replay(stage.numbers.queue, [delivery.lease.id])
        with pytest.raises(ltq.ResultTimeoutError):
            await handle.result(timeout=0.05)

    async def test_a_tree_is_watched_so_long(self, stage: Stage) -> None:
        handle = await stage.total.send()
        states = handle.watch_tree(timeout=0.05)
        assert (await anext(states)).status is Status.PENDING
        with pytest.raises(ltq.ResultTimeoutError):
            await anext(states)
