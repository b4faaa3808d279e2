"""What cannot be carried on for one workflow holds up no other."""

from collections.abc import Sequence
from typing import Any

import pytest

from ltq import Status
from ltq._flow.apart import carry_apart, carry_left, namespaces_of
from ltq.broker.flows import Arrival, Arrived, Ending, Ready
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Finish
from ltq.names import new_id
from tests.eventually import eventually
from tests.flow.stage import Stage


class Picky(MemoryBroker):
    """Refuses what has to do with some ids, and is away for some queues."""

    def __init__(self) -> None:
        super().__init__(f"memory://{new_id()}?history=0")
        self.refused: set[str] = set()
        self.away: set[str] = set()
        self.error: Exception = BrokerError("refused")

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        if queue in self.away:
            raise BrokerError("away")
        if self.refused & {one.id for one in arrivals}:
            raise self.error
        return await super().arrive(queue, arrivals)

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        if queue in self.away:
            raise BrokerError("away")
        return await super().go_on(queue, task_id, ready)


@pytest.fixture
def broker() -> Picky:
    return Picky()


@pytest.fixture
def stage(broker: Picky) -> Stage:
    return Stage(broker)


async def ended(stage: Stage, count: int) -> list[str]:
    """The ids of workflows whose first task has ended, and nobody has carried that on."""
    node = stage.numbers.step(2).then(stage.add)
    handles = [await node.send() for _ in range(count)]
    async with stage.broker.consumer([stage.numbers.queue]) as consumer:
        claimed = await stage.broker.claim(consumer, count, timeout=5)
    await stage.broker.finish([Finish(one.lease, Status.COMPLETED, b"[1,2]") for one in claimed])
    return [handle.id for handle in handles]


@pytest.mark.parametrize("kind", [BrokerError, ValueError])
async def test_one_that_is_refused_holds_up_no_other(
    broker: Picky, stage: Stage, kind: type[Exception]
) -> None:
    broker.error = kind("no")
    if isinstance(broker.error, BrokerError):
        broker.error.is_refusal = True
    ids = await ended(stage, 5)
    broker.refused = {ids[2]}
    queue = stage.numbers.queue
    with pytest.raises(kind, match="no"):
        await carry_left(broker, queue)
    (left,) = await broker.endings(queue)
    assert left.id == f"{ids[2]}.n0"
    states = await broker.states(stage.add.queue, ids)
    told = [state and state.status for state in states]
    assert told == [Status.PENDING, Status.PENDING, Status.DELAYED, Status.PENDING, Status.PENDING]
    broker.refused = set()
    assert await carry_left(broker, queue) == 1
    assert await broker.endings(queue) == []


async def test_a_namespace_that_is_away_holds_up_no_workflow_without_it(
    broker: Picky, stage: Stage
) -> None:
    (beside,) = await ended(stage, 1)
    handle = await stage.numbers.step(2).map(stage.double).send()
    delivery = await stage.claim_one(stage.numbers.queue)
    await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"[1,2]")])
    broker.away = {stage.double.queue}
    endings = await broker.endings(stage.numbers.queue)
    groups = {namespaces_of(one) for one in endings}
    assert groups == {frozenset({"one"}), frozenset({"one", "two"})}
    (left,) = await carry_apart(broker, endings)
    assert [one.id for one in left.endings] == [f"{handle.id}.n0"]
    assert (await broker.state(stage.add.queue, beside)).status is Status.PENDING


async def test_workers_carry_on_what_they_can(broker: Picky, stage: Stage) -> None:
    broker.away = {stage.double.queue}
    async with stage.one:
        stuck = await stage.numbers.step(2).map(stage.double).send()
        for _ in range(3):
            assert await (await stage.numbers.step(3).then(stage.add).send()).result(5) == 3
        broker.away = set()
        async with stage.two:
            assert await stuck.result(10) == [0, 2]


async def test_one_that_breaks_the_code_is_told_and_left(
    broker: Picky, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = ValueError("odd")
    node = stage.numbers.step(2).then(stage.add).with_options(id="odd")
    broker.refused = {"odd"}
    async with stage.one:
        await node.send()
        await eventually(lambda: "what follows 1 tasks cannot go on" in caplog.text)
        assert await (await stage.numbers.step(3).then(stage.add).send()).result(5) == 3
    endings: list[Any] = await broker.endings(stage.numbers.queue)
    assert [one.id for one in endings] == ["odd.n0"]


def test_an_ending_whose_place_cannot_be_read_needs_its_own_namespace() -> None:
    ending = Ending(key="a 1", id="a", queue="one:add", status=Status.COMPLETED, ctx=b"{")
    assert namespaces_of(ending) == {"one"}
