"""Workflows whose start was cut, hours later."""

import pytest

import ltq
from ltq import Status
from ltq._flow.cut import cancel_cut
from ltq.errors import BrokerError
from ltq.message import Finish
from tests.flow.stage import Stage
from tests.flow.test_sent_again import LONG, Hours, finish, send_what_waits
from tests.flow.test_sent_again import clock as clock
from tests.flow.test_sent_again import stage as stage
from tests.flow.test_sent_again import store as store


async def cut(stage: Stage, clock: Hours) -> int:
    """Cancel what was cut."""
    return await cancel_cut(stage.broker, await stage.broker.queues(), before=clock.now)


async def test_what_has_ended_and_is_forgotten_was_sent(stage: Stage, clock: Hours) -> None:
    node = ltq.join(stage.total, stage.numbers.step(1)).with_options(id="c-1")
    await node.send()
    await finish(stage, stage.numbers.queue, b"[7]")
    clock.now += LONG
    assert await cut(stage, clock) == 0
    await finish(stage, stage.double.queue, b"14")
    clock.now += LONG
    assert await cut(stage, clock) == 0
    await finish(stage, stage.add.queue, b"14")
    await finish(stage, stage.numbers.queue, b"[0]")
    assert await node.handle("c-1").result(0) == (14, [0])


async def test_nor_is_one_cut_whose_ending_nobody_has_seen(stage: Stage, clock: Hours) -> None:
    """It is carried on first."""
    node = stage.total.with_options(id="c-2")
    await node.send()
    delivery = await stage.claim_one(stage.numbers.queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"[]", result_ttl=60.0)])
    clock.now += LONG
    assert await cut(stage, clock) == 0
    (state,) = await stage.broker.states(stage.add.queue, ["c-2"])
    assert state is not None
    assert state.status is Status.PENDING


async def test_nor_while_an_ending_cannot_be_carried_on(
    stage: Stage, clock: Hours, store: ltq.testing.FlakyBroker
) -> None:
    node = stage.total.with_options(id="c-3")
    await node.send()
    delivery = await stage.claim_one(stage.numbers.queue)
    await stage.broker.finish([Finish(delivery.lease, Status.COMPLETED, b"[]", result_ttl=60.0)])
    clock.now += LONG
    store.fail(next=2, on="arrive", error=BrokerError("away"))  # it is tried twice
    assert await cut(stage, clock) == 0
    assert (await node.handle("c-3").state()).status is Status.DELAYED


@pytest.mark.parametrize("policy", ["cancel", "continue"])
async def test_a_replay_does_not_let_it_go_on(
    stage: Stage, clock: Hours, policy: ltq.workflow.OnFailure
) -> None:
    node = stage.total.with_options(id="c-4", on_failure=policy)
    await send_what_waits(stage, node, "c-4")
    clock.now += 1.0
    assert await cut(stage, clock) == 1
    statuses = [one.status for one in (await node.handle("c-4").tree()).nodes]
    assert statuses == [None, Status.CANCELLED, Status.CANCELLED]
    await node.with_options(id="c-4").send()  # it is over
    assert await cut(stage, clock) == 0
