"""A workflow that is sent again under its id: what has run does not run again."""

from typing import Any

import pytest

import ltq
from ltq import Status
from ltq._flow.carry import carry
from ltq._flow.plan import order_of_sending
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Envelope, Failure, Finish
from ltq.names import new_id
from ltq.testing import FlakyBroker
from tests.eventually import eventually
from tests.flow.stage import Stage

LONG = 3 * 3600.0


class Hours:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture
def store(clock: Hours) -> FlakyBroker:
    return FlakyBroker(MemoryBroker(f"memory://{new_id()}?history=0", clock=clock))


@pytest.fixture
def stage(store: FlakyBroker) -> Stage:
    return Stage(store)


async def finish(stage: Stage, queue: str, result: bytes) -> None:
    """End the next task of a queue, and carry that on."""
    delivery = await stage.claim_one(queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, result, result_ttl=60.0)])
    await carry(stage.broker, await stage.broker.endings(queue))


async def send_what_waits(stage: Stage, node: ltq.Node[Any], workflow_id: str) -> None:
    """Send the nodes that wait for others, and no more."""
    plan = node._plan(workflow_id)
    held, _ = order_of_sending(plan.nodes, plan.envelopes(lambda _: None))
    await stage.broker.publish(held)


async def waiting(stage: Stage) -> set[tuple[str, int]]:
    """The queues in which something may run, and how much."""
    stats = await stage.broker.stats(await stage.broker.queues())
    return {(one.queue, one.pending) for one in stats if one.pending}


async def test_what_has_ended_and_is_forgotten_is_not_sent_again(
    stage: Stage, clock: Hours
) -> None:
    """The first node, and a map with its elements, of which the last node still waits."""
    node = ltq.join(stage.total, stage.numbers.step(1)).with_options(id="r-1")
    await node.send()
    queue = stage.numbers.queue
    await finish(stage, queue, b"[7]")
    clock.now += LONG
    await node.send()
    assert await waiting(stage) == {(queue, 1), (stage.double.queue, 1)}
    await finish(stage, stage.double.queue, b"14")
    clock.now += LONG
    await node.send()
    assert await waiting(stage) == {(queue, 1), (stage.add.queue, 1)}
    await finish(stage, stage.add.queue, b"14")
    await finish(stage, queue, b"[0]")
    assert await node.handle("r-1").result(0) == (14, [0])
    await node.send()
    assert await waiting(stage) == set()


@pytest.mark.parametrize("only_last", [True, False])
async def test_what_was_sent_halfway_is_sent_to_its_end(
    stage: Stage, store: FlakyBroker, only_last: bool
) -> None:
    """The sender was cut behind the last node, or between what waits and what begins: they are in
    two namespaces."""
    node = stage.total.with_options(id="r-2")
    if only_last:
        store.fail(next=1, on="send", lost=True)
        with pytest.raises(BrokerError):
            await node.send()
        assert await held_up(stage) == 1
    else:
        await send_what_waits(stage, node, "r-2")
        assert await held_up(stage) == 2
    assert await waiting(stage) == set()
    await node.send()
    assert await waiting(stage) == {(stage.numbers.queue, 1)}
    await node.send()
    assert await waiting(stage) == {(stage.numbers.queue, 1)}


async def test_if_only_the_last_is_forgotten_the_others_are_taken_as_they_are(
    stage: Stage, clock: Hours
) -> None:
    """Its state is kept for a shorter time than theirs."""
    node = stage.numbers.step(3).then(stage.add).with_options(id="r-3", result_ttl=1)
    await node.send()
    await finish(stage, stage.numbers.queue, b"[4]")
    delivery = await stage.claim_one(stage.add.queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"4", result_ttl=1.0)])
    clock.now += 2.0
    await node.send()
    assert await waiting(stage) == {(stage.add.queue, 1)}
    await finish(stage, stage.add.queue, b"5")
    assert await node.handle("r-3").result(0) == 5


async def test_one_that_was_cleared_is_sent_again_and_goes_on(stage: Stage) -> None:
    node = ltq.join(stage.numbers.step(3).then(stage.add), stage.numbers.step(1))
    node = node.with_options(id="r-4")
    await node.send()
    await finish(stage, stage.numbers.queue, b"[4]")
    assert await stage.broker.clear(stage.add.queue) == 2  # it is the queue of the join as well
    await node.send()
    assert await waiting(stage) == {(stage.add.queue, 1), (stage.numbers.queue, 1)}


async def held_up(stage: Stage) -> int:
    """How many nodes wait for others."""
    return sum(one.delayed for one in await stage.broker.stats(await stage.broker.queues()))


async def test_what_ended_before_its_worker_died_does_not_run_again(
    stage: Stage, clock: Hours
) -> None:
    """Nobody has carried that on, and its state is forgotten: its ending is still there."""
    first = stage.numbers.step(3)
    node = ltq.join(first, first.then(stage.add)).with_options(id="r-5")
    await node.send()
    await finish(stage, stage.numbers.queue, b"[4]")
    delivery = await stage.claim_one(stage.add.queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"4", result_ttl=60.0)])
    clock.now += LONG
    await node.send()
    assert await waiting(stage) == set()
    assert await held_up(stage) == 0
    assert await node.handle("r-5").result(0) == ([4], 4)


async def test_the_first_node_does_not_run_again_either(stage: Stage, clock: Hours) -> None:
    node = stage.numbers.step(3).then(stage.add).with_options(id="r-6")
    await node.send()
    delivery = await stage.claim_one(stage.numbers.queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"[4]", result_ttl=60.0)])
    clock.now += LONG
    await node.send()
    assert await waiting(stage) == {(stage.add.queue, 1)}


@pytest.mark.parametrize("policy", ["cancel", "continue"])
async def test_a_cancel_that_nobody_has_carried_on_lets_nothing_wait(
    stage: Stage, clock: Hours, policy: Any
) -> None:
    """The cancelled node is not sent again: what it needs has run, and does not come any more."""
    first = stage.numbers.step(3)
    node = ltq.join(first, first.then(stage.add)).with_options(id="r-7", on_failure=policy)
    await node.send()
    assert await stage.broker.cancel_each(stage.add.queue, ["r-7.n1"], 60.0) == 1
    delivery = await stage.claim_one(stage.numbers.queue)
    outcome = Finish(delivery.lease, Status.COMPLETED, b"[4]", result_ttl=60.0, flow=delivery.ctx)
    await stage.broker.finish([outcome])
    clock.now += LONG
    await node.send()
    assert await waiting(stage) == set()
    assert await held_up(stage) == 0
    assert (await node.handle("r-7").state()).status is Status.CANCELLED


async def test_what_goes_on_after_a_failure_is_sent_to_its_end(stage: Stage) -> None:
    """The sender was cut before anything could run, and one of the nodes that wait was cleared."""
    node = ltq.join(stage.total, stage.numbers.step(2).map(stage.double))
    node = node.with_options(id="r-8", on_failure="continue")
    await send_what_waits(stage, node, "r-8")
    assert await stage.broker.cancel_each(stage.double.queue, ["r-8.n4"], 60.0) == 1
    await carry(stage.broker, await stage.broker.endings(stage.double.queue))
    assert (await node.handle("r-8").state()).status is Status.CANCELLED
    await node.send()
    async with stage.one, stage.two:
        await eventually(lambda: stage.ran["add"] == 1, description="the rest has run")
    assert await held_up(stage) == 0


async def test_a_failure_that_nobody_has_carried_on_can_be_replayed(
    stage: Stage, clock: Hours
) -> None:
    """Were the failed node sent again, it would wait for ever, and its replay be refused."""
    first = stage.numbers.step(3)
    node = ltq.join(first, first.then(stage.add)).with_options(id="r-9")
    await node.send()
    await finish(stage, stage.numbers.queue, b"[4]")
    delivery = await stage.claim_one(stage.add.queue)
    no = Failure("ValueError", "no")
    outcome = Finish(delivery.lease, Status.FAILED, failure=no, dead=True, result_ttl=60.0)
    await stage.broker.finish([outcome])
    clock.now += LONG
    await node.send()
    assert await held_up(stage) == 0
    assert await stage.broker.replay(stage.add.queue, ["r-9.n1"])
    async with stage.one, stage.two:
        assert await node.handle("r-9").result(10) == ([4], 4)


async def test_what_ended_is_found_among_many_endings_of_others(stage: Stage, clock: Hours) -> None:
    """More than a store looks among: those that came first are carried on as well."""
    queue, flow = stage.numbers.queue, b'{"ltq.flow":{"queue":"one:numbers","end":"gone"}}'
    ids = [f"other-{number}" for number in range(2100)]
    others = [Envelope(id=one, queue=queue, task_name="x", body=b"", ctx=flow) for one in ids]
    await stage.broker.publish(others)
    assert await stage.broker.cancel_each(queue, ids, 60.0) == len(ids)
    node = stage.total.with_options(id="r-10")
    await node.send()
    delivery = await stage.claim_one(queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"[7]", result_ttl=60.0)])
    clock.now += LONG
    await node.send()
    assert await waiting(stage) == {(stage.double.queue, 1)}
    assert await stage.broker.endings(queue) == []
