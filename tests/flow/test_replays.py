"""Replays of what has failed, where others have died over it: found by random walks."""

from typing import Any

import pytest

import ltq
from ltq import Status
from ltq._flow.apart import carry_left
from ltq._flow.carry import carry
from ltq.errors import TaskNotFoundError
from ltq.message import Failure, Finish
from tests.eventually import eventually
from tests.flow.stage import Stage
from tests.model.flow_ground import CrashError, Crashing


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def end(stage: Stage, queue: str, status: Status, result: bytes = b"") -> None:
    """End the next task of a queue, without carrying that on."""
    delivery = await stage.claim_one(queue)
    failure = None if status is Status.COMPLETED else Failure("ValueError", "no")
    outcome = Finish(delivery.lease, status, result, failure=failure, dead=failure is not None)
    await stage.broker.finish([outcome])


async def carry_all(stage: Stage) -> None:
    """Carry on all that is left."""
    for _ in range(4):
        for queue in (stage.numbers.queue, stage.double.queue):
            await carry_left(stage.broker, queue)


async def replay(stage: Stage, queue: str) -> None:
    """Replay the dead letters of a queue."""
    letters = await stage.broker.dead_letters(queue)
    assert await stage.broker.replay(queue, [letter.id for letter in letters])


async def run(stage: Stage, handle: Any) -> Any:
    """Let workers bring it to its end."""
    async with stage.one, stage.two:
        return await handle.result(10)


@pytest.mark.parametrize("policy", ["cancel", "continue"])
async def test_what_failed_before_a_map_lets_that_begin(stage: Stage, policy: Any) -> None:
    handle = await stage.total.with_options(on_failure=policy).send()
    await end(stage, stage.numbers.queue, Status.FAILED)
    await carry_all(stage)
    assert (await handle.state()).status is Status.CANCELLED
    await replay(stage, stage.numbers.queue)
    assert await run(stage, handle) == 6


async def test_one_between_the_halves_of_a_stop_is_not_cancelled(stage: Stage) -> None:
    """Whoever stops the rest dies over it, and another one goes on after the replay."""
    failing = stage.numbers.step(2).then(stage.add)
    handle = await ltq.join(failing, stage.total).send()
    await end(stage, stage.numbers.queue, Status.COMPLETED, b"[1,2]")
    await carry_all(stage)
    await end(stage, stage.add.queue, Status.FAILED)
    (ending,) = await stage.broker.endings(stage.add.queue)
    crashing: Any = Crashing(stage.broker, 4, is_made=True)
    with pytest.raises(CrashError):
        await carry(crashing, [ending])
    assert (await handle.state()).status is Status.DELAYED
    await replay(stage, stage.add.queue)
    await carry_all(stage)
    assert await run(stage, handle) == (3, 6)


async def test_it_does_not_wait_for_what_was_cleared(stage: Stage) -> None:
    """That does not come any more: the workflow stays cancelled."""
    node = ltq.join(stage.numbers.step(1).then(stage.add), stage.numbers.step(2))
    handle = await node.send()
    await end(stage, stage.numbers.queue, Status.FAILED)
    await carry_all(stage)
    assert (await handle.state()).status is Status.CANCELLED
    cleared = next(one for one in (await handle.tree()).nodes if one.task_name == "one:add")
    await stage.broker.restart(cleared.queue, [cleared.id], held=True)
    assert await stage.broker.clear(cleared.queue) == 1
    with pytest.raises(TaskNotFoundError):
        await stage.broker.state(cleared.queue, cleared.id)
    await carry_all(stage)
    await replay(stage, stage.numbers.queue)
    async with stage.one:
        await eventually(lambda: stage.ran["numbers"] == 1, description="it has run")
    await carry_all(stage)
    assert (await handle.state()).status is Status.CANCELLED
    stats = await stage.broker.stats(await stage.broker.queues())
    assert sum(one.delayed + one.pending for one in stats) == 0


async def test_what_goes_on_after_a_failure_can_be_cancelled(stage: Stage) -> None:
    """The last node has ended, others have not."""
    node = ltq.join(stage.numbers.step(1), stage.total).with_options(on_failure="continue")
    handle = await node.send()
    await end(stage, stage.numbers.queue, Status.FAILED)
    await carry_all(stage)
    assert (await handle.state()).status is Status.CANCELLED
    assert not await handle.cancel()
    assert {one.status for one in (await handle.tree()).nodes} == {Status.FAILED, Status.CANCELLED}


async def test_one_before_anybody_has_noticed_the_failure_stops_nothing(stage: Stage) -> None:
    handle = await ltq.join(stage.numbers.step(2).then(stage.add), stage.total).send()
    await end(stage, stage.numbers.queue, Status.FAILED)
    await replay(stage, stage.numbers.queue)
    await carry_all(stage)
    assert (await handle.state()).status is Status.DELAYED
    assert Status.CANCELLED not in [one.status for one in (await handle.tree()).nodes]
    assert await run(stage, handle) == (1, 6)
