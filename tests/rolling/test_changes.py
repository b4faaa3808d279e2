"""Changes that need two steps, and what becomes of them in one: a few processes each."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from ltq.brokers.redis import RedisBroker
from ltq.state import Status, TaskState
from tests.eventually import eventually
from tests.rolling.record import Ran
from tests.rolling.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

SHOP = "shop.jobs:shop"
PATIENCE = 15.0
"""Seconds in which something has to happen."""


class Tasks:
    """Looks at tasks of the shop by their ids."""

    def __init__(self, broker: RedisBroker, ids: Sequence[str], namespace: str = "shop") -> None:
        self._broker = broker
        self._ids = ids
        self._queue = f"{namespace}:any"

    async def states(self) -> list[TaskState[bytes]]:
        states = await self._broker.states(self._queue, self._ids)
        return [state for state in states if state is not None]

    async def are(self, *wanted: Status) -> list[TaskState[bytes]]:
        """Wait until they are in these states, and return them."""

        async def look() -> list[TaskState[bytes]]:
            states = await self.states()
            return states if [state.status for state in states] == [*wanted] else []

        try:
            return await eventually(look, PATIENCE)
        except AssertionError:
            told = [(state.task_name, state.status, state.error) for state in await self.states()]
            raise AssertionError(f"they are not {wanted} but {told}") from None


def ran(stage: Stage, task_id: str) -> list[str]:
    """The versions that began to run a task."""
    runs = stage.record.read(Ran)
    return [run.version for run in runs if run.id == task_id and run.what == "start"]


def fired(stage: Stage, schedule: str, *, since: float = 0.0) -> list[str]:
    """The ids of the runs of a schedule."""
    runs = [run for run in stage.record.read(Ran) if run.id.startswith(f"{schedule}:")]
    return [run.id for run in runs if run.what == "start" and run.time > since]


async def test_a_new_parameter_may_be_given_once_all_workers_have_it(
    stage: Stage, broker: RedisBroker
) -> None:
    """Given too early, it makes a dead letter, which can be sent again when they have it."""
    worker = await stage.work("v1", SHOP)
    tasks = Tasks(broker, await stage.send("v2", "order.send(7)", "order.send(8, gift=True)"))
    _, refused = await tasks.are(Status.COMPLETED, Status.REJECTED)
    assert "gift" in (refused.error or "")
    await stage.stop(worker)
    await stage.work("v2", SHOP)
    stage.ltq("dead", "retry", "--all", "--task", "shop:order")
    _, done = await tasks.are(Status.COMPLETED, Status.COMPLETED)
    assert b"as a gift" in (done.result or b"")


async def test_a_parameter_may_be_removed_once_nobody_gives_it(
    stage: Stage, broker: RedisBroker
) -> None:
    """Removed too early, it makes a dead letter, which an older worker can still run."""
    worker = await stage.work("v2", SHOP)
    tasks = Tasks(broker, await stage.send("v1", "ship.send(7)", "ship.send(8, express=True)"))
    _, refused = await tasks.are(Status.COMPLETED, Status.REJECTED)
    assert "express" in (refused.error or "")
    await stage.stop(worker)
    await stage.work("v1", SHOP)
    stage.ltq("dead", "retry", "--all", "--task", "shop:ship")
    await tasks.are(Status.COMPLETED, Status.COMPLETED)


async def test_dead_letters_run_with_the_options_and_the_serializer_of_the_fixed_code(
    stage: Stage, broker: RedisBroker
) -> None:
    worker = await stage.work("v1")
    slow, scan = await stage.send("v1", "slow.send(0.4)", "scan.send(PAGE)")
    tasks = Tasks(broker, [slow]), Tasks(broker, [scan], "books")
    for one in tasks:
        await one.are(Status.FAILED)
    await stage.stop(worker)
    await stage.work("v2")
    for name in ("shop:slow", "books:scan"):
        stage.ltq("dead", "retry", "--all", "--task", name)
    for one in tasks:
        await one.are(Status.COMPLETED)
    scanned = await stage.ask("v2", f"scan.handle({scan!r}).result()")
    assert scanned == await stage.ask("v2", "scan(PAGE)")


async def test_another_type_of_result_is_read_by_its_own_version(
    stage: Stage, broker: RedisBroker
) -> None:
    """The others are told so; the tasks are done all the same."""
    await stage.work("v1", SHOP)
    (task_id,) = await stage.send("v2", "total.send(7)")
    await Tasks(broker, [task_id]).are(Status.COMPLETED)
    result = f"total.handle({task_id!r}).result()"
    assert await stage.ask("v1", result) == "7"
    assert await stage.ask("v2", result) == "DecodeError"


async def test_priority_and_max_pending_are_those_of_the_sender(
    stage: Stage, broker: RedisBroker
) -> None:
    low = await stage.send("v1", "report.send(1)", "report.send(2)", "stock.send(1)")
    high = await stage.send("v2", "report.send(3)", "report.send(4)", "stock.send(2)")
    assert await stage.ask("v1", "stock.send(3)") == "QueueFullError"
    assert await stage.ask("v2", "stock.send(3)") != "QueueFullError"
    await stage.work("v1", SHOP, "--concurrency", "1")
    reports = [*low[:2], *high[:2]]
    states = await Tasks(broker, reports).are(*[Status.COMPLETED] * 4)
    order = sorted(states, key=lambda state: state.last_dequeue_time or 0.0)
    assert [state.id for state in order] == [*high[:2], *low[:2]]


async def test_max_deliveries_is_that_of_the_worker_that_would_run_it(
    stage: Stage, broker: RedisBroker
) -> None:
    (task_id,) = await stage.send("v2", "fatal.send(7)")
    for dead, version in enumerate(("v2", "v1")):
        worker = await stage.work(version, SHOP)
        await eventually(lambda dead=dead: len(ran(stage, task_id)) == dead + 1, PATIENCE)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        await worker.kill()
    assert ran(stage, task_id) == ["v2", "v1"]
    await stage.work("v2", SHOP)
    (state,) = await Tasks(broker, [task_id]).are(Status.REJECTED)
    assert "killed" in (state.error or "")


async def test_an_old_version_that_starts_for_a_moment_leaves_the_schedules_to_the_new(
    stage: Stage,
) -> None:
    new = await stage.work("v2", SHOP, "--with-scheduler")
    await eventually(lambda: fired(stage, "rare"), PATIENCE)
    old = await stage.run("v1", "-m", "ltq", "schedule", SHOP)
    await new.logged("schedule rare is declared differently", PATIENCE)
    await old.kill()
    killed = time.time()
    await eventually(lambda: fired(stage, "rare", since=killed), PATIENCE)
    runs = Counter(fired(stage, "rare"))
    assert [slot for slot, count in runs.items() if count > 1] == []


async def test_what_nobody_serves_waits_and_is_told_of(stage: Stage, broker: RedisBroker) -> None:
    """A task that was removed, and the former queue of one that was moved."""
    await stage.work("v2", SHOP)
    tasks = Tasks(broker, await stage.send("v1", "retire.send(7)", "lonely.send(7)"))
    (moved,) = await stage.send("v2", "lonely.send(8)")
    await Tasks(broker, [moved]).are(Status.COMPLETED)

    async def fails() -> bool:
        return "shop:night" in await asyncio.to_thread(stage.ltq, "check", "--max-wait", "1")

    await eventually(fails, PATIENCE)
    assert "shop:retire" in await asyncio.to_thread(stage.ltq, "doctor")
    states = await tasks.are(Status.PENDING, Status.PENDING)
    assert [state.dequeue_count for state in states] == [0, 0]
    assert {"shop:night"} < {*stage.stats()}
    assert "shop:retire" in str(stage.stats())
    await stage.work("v1", SHOP)
    await tasks.are(Status.COMPLETED, Status.COMPLETED)


async def test_a_serializer_of_ones_own_waits_for_the_workers_that_have_it(
    stage: Stage, broker: RedisBroker
) -> None:
    vault = "shop.jobs:vault"
    old = await stage.work("v1", vault, ready="vault")
    first, second, third = [
        *await stage.send("v1", "lock.send('a')"),
        *await stage.send("v2", "lock.send('b')"),
        *await stage.send("v1", "lock.send('c')"),
    ]
    await Tasks(broker, [first, third], "vault").are(Status.COMPLETED, Status.COMPLETED)
    (state,) = await Tasks(broker, [second], "vault").states()
    assert not state.status.is_final
    await stage.stop(old)
    await stage.work("v2", vault, ready="vault")
    (fourth,) = await stage.send("v1", "lock.send('d')")
    await Tasks(broker, [second, fourth], "vault").are(Status.COMPLETED, Status.COMPLETED)
    assert [ran(stage, task_id) for task_id in (first, second, third, fourth)] == [
        ["v1"],
        ["v2"],
        ["v1"],
        ["v2"],
    ]
    assert await stage.ask("v2", f"lock.handle({first!r}).result()") == "a"
