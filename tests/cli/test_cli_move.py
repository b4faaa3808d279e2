"""`ltq move`, between real stores."""

import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, Parcel
from ltq.brokers.redis import RedisBroker
from ltq.brokers.sqlite import SqliteBroker
from ltq.cli.move import _tasks
from ltq.message import Published
from ltq.options import Priority
from ltq.state import Page, Status, TaskDetail
from ltq.testing.conformance._schedules.kept import declare
from tests.cli.calls import call_ltq
from tests.cli.move_helpers import bury, keep_schedule, letters, move_queue, waiting
from tests.cli.processes import Done, ltq_on_terminal, start_ltq
from tests.conformance.factories import QUEUE, claim_ids, claim_one, publish, publish_many
from tests.eventually import eventually


@pytest.fixture
def from_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'from.db'}"


@pytest.fixture
async def source(from_url: str) -> AsyncIterator[Broker]:
    async with Broker.from_url(from_url) as broker:
        yield broker


@pytest.fixture
async def target(broker: Broker) -> Broker:
    """The broker on the real server."""
    return broker


class TestMove:
    async def test_all_that_waits_is_at_the_other_one(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await bury(source, "dead")
        low = await publish_many(source, 2, priority=Priority.LOW)
        high = await publish_many(source, 2, priority=Priority.HIGH)
        later = await publish(source, delay=60.0)
        due = (await source.state(QUEUE, later.id)).due_time
        await keep_schedule(source)
        there = await publish(target, priority=Priority.HIGH)
        done = await call_ltq("move", from_url, redis_url)
        lines = [
            f"{QUEUE}: 6 tasks moved (4 pending, 1 delayed, 1 dead)",
            "schedules moved: nightly",
            f"paused at FROM: {QUEUE}",
        ]
        assert done == Done(0, "\n".join(lines) + "\n", "")
        assert await waiting(target, Status.PENDING) == [there.id, *high, *low]
        state = await target.state(QUEUE, later.id)
        assert state.due_time == pytest.approx(due, abs=1e-5)
        assert await target.replay(QUEUE, ["dead"]) == [Published.CREATED]
        (stats,) = await source.stats([QUEUE])
        counts = stats.pending, stats.delayed, stats.working, stats.dead
        assert (counts, stats.paused) == ((0, 0, 0, 0), True)
        again = await call_ltq("move", from_url, redis_url)
        assert again.out.startswith(f"{QUEUE}: 0 tasks moved")

    async def test_what_runs_stays_until_it_ended(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await publish_many(source, 2)
        async with source.consumer([QUEUE]) as consumer:
            lease = (await claim_one(source, consumer)).lease
            done = await call_ltq("move", from_url, redis_url)
            assert done.code == 0
            assert done.out.splitlines()[0].endswith("(1 pending, 0 delayed, 0 dead), 1 running")
            await source.requeue(lease)
            assert await claim_ids(consumer, 1) == [], "it waits for the next move"
        assert (await call_ltq("move", from_url, redis_url)).code == 0
        assert len(await waiting(target, Status.PENDING)) == 2

    async def test_what_a_dead_worker_held_goes_as_well(
        self, source: Broker, target: Broker
    ) -> None:
        task = await publish(source)
        async with source.consumer([QUEUE], lease=0.05) as consumer:
            await claim_one(source, consumer)

        async def is_moved() -> bool:
            (moved,) = (await move_queue(source, target)).queues
            return moved.pending == 1

        await eventually(is_moved, description="the end of the lease")
        state = await target.state(QUEUE, task.id)
        assert (state.status, state.deaths, state.requeue_count) == (Status.PENDING, 1, 1)

    async def test_only_the_queues_that_are_named(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await publish(source)
        other = await publish(source, queue="mail:other")
        await keep_schedule(source)
        done = await call_ltq("move", from_url, redis_url, "--queue", "mail:other", "--json")
        (moved,) = json.loads(done.out)["queues"]
        assert (moved["queue"], moved["pending"], moved["left"]) == ("mail:other", 1, 0)
        assert [one.id for one in (await target.tasks("mail:other")).items] == [other.id]
        assert [one.paused for one in await source.stats([QUEUE, "mail:other"])] == [False, True]
        assert await source.schedules(["nightly"]), "its queue stays"

    async def test_a_dry_run_changes_nothing(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await bury(source, "dead")
        (waits,) = await publish_many(source, 1)
        await keep_schedule(source)
        done = await call_ltq("move", from_url, redis_url, "--dry-run")
        lines = [
            f"{QUEUE}: 2 tasks would be moved (1 pending, 0 delayed, 1 dead)",
            "schedules that would be moved: nightly",
        ]
        assert done == Done(0, "\n".join(lines) + "\n", "")
        assert await waiting(source, Status.PENDING) == [waits]
        assert await letters(source) == ["dead"]
        assert not (await source.stats([QUEUE]))[0].paused
        assert await target.queues() == []

    async def test_a_queue_that_is_paused_there_is_told(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await publish(source)
        await target.pause(QUEUE)
        done = await call_ltq("move", from_url, redis_url)
        assert f"paused at TO: {QUEUE}\n" in done.out

    async def test_brokers_may_have_names(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        task = await publish(source)
        names = {"LTQ_BROKER_URL_OLD": from_url, "LTQ_BROKER_URL_NEW": redis_url}
        assert (await call_ltq("move", "@old", "@new", env=names)).code == 0
        assert await waiting(target, Status.PENDING) == [task.id]

    async def test_a_pause_of_a_schedule_stays(self, source: Broker, target: Broker) -> None:
        record = await keep_schedule(source)
        await source.pause_schedule(QUEUE, record.name)
        await publish(source)
        assert (await move_queue(source, target)).is_whole
        (kept,) = await target.schedules([record.name])
        assert (kept.is_paused, kept.last, kept.put) == (True, record.last, record.put)
        assert await source.schedules([record.name]) == []

    @pytest.mark.slow
    async def test_on_a_terminal_it_shows_how_far_it_is(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await publish_many(source, 3)
        async with ltq_on_terminal("move", from_url, redis_url) as terminal:
            assert await terminal.end() == 0
        assert f"{QUEUE}: 3 of 3 moved" in terminal.text
        assert f"{QUEUE}: 3 tasks moved (3 pending, 0 delayed, 0 dead)" in terminal.text


class TestRefusals:
    async def test_one_broker_cannot_be_both(
        self, from_url: str, redis_url: str, source: Broker, target: Broker, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        same = [
            (from_url, from_url),
            (from_url, f"sqlite:///{tmp_path / 'link' / 'from.db'}"),
            (redis_url, f"{redis_url}?history=0"),
        ]
        await publish(source)
        await publish(target)
        for one, other in same:
            done = await call_ltq("move", one, other)
            assert (done.code, done.out) == (2, "")
            assert done.err.startswith("ltq: FROM and TO are the same broker: ")
        assert len(await waiting(source, Status.PENDING)) == 1
        assert not (await source.stats([QUEUE]))[0].paused
        assert await target.workers() == await source.workers() == []

    async def test_an_unknown_queue_or_name(
        self, from_url: str, redis_url: str, source: Broker
    ) -> None:
        await publish(source)
        done = await call_ltq("move", from_url, redis_url, "--queue", "mail:sned")
        assert done.code == 1
        assert done.err == "ltq: there is no queue 'mail:sned': did you mean mail:send?\n"
        assert (await call_ltq("move", "@nobody", redis_url)).code == 2
        assert (await call_ltq("move", from_url)).code == 2
        assert (await call_ltq("move", "", redis_url)).code == 2

    async def test_nothing_is_there(self, from_url: str, redis_url: str, source: Broker) -> None:
        await source.queues()
        assert await call_ltq("move", from_url, redis_url) == Done(0, "no queues yet\n", "")

    async def test_no_file_is_there(self, redis_url: str, tmp_path: Path) -> None:
        done = await call_ltq("move", "sqlite:///typo.db", redis_url, cwd=tmp_path)
        where = f"sqlite:///{tmp_path}/typo.db"
        told = f"ltq: {where} is not there: nothing can be moved from it\n"
        assert done == Done(1, "", told)
        assert os.listdir(tmp_path) == []

    async def test_a_dry_run_makes_no_file(
        self, from_url: str, source: Broker, tmp_path: Path
    ) -> None:
        await publish(source)
        there = os.listdir(tmp_path)
        done = await call_ltq("move", from_url, f"sqlite:///{tmp_path}/to.db", "--dry-run")
        assert (done.code, done.err) == (0, "")
        assert os.listdir(tmp_path) == there

    async def test_a_schedule_whose_task_was_never_sent_is_moved(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await keep_schedule(source)
        assert (await call_ltq("move", from_url, redis_url)).code == 0
        assert [one.name for one in await target.schedules(["nightly"])] == ["nightly"]
        assert not await source.schedules(["nightly"])


class TestTroubles:
    async def test_a_task_whose_id_another_one_has_stays_and_is_named(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        await publish(source, id="mine")
        (other,) = await publish_many(source, 1)
        await publish(target, id="mine")
        done = await call_ltq("move", from_url, redis_url)
        assert done.code == 1
        assert done.err == "ltq: task mine stays: another task at the target has this id\n"
        assert await waiting(source, Status.PENDING) == ["mine"]
        assert await waiting(target, Status.PENDING) == ["mine", other]

    @pytest.mark.slow
    async def test_however_many_stay_they_are_not_read_again_and_again(
        self, source: Broker, target: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a move of many tasks takes ever longer for each of them."""
        monkeypatch.setattr(_tasks, "_BATCH", 10)
        stay = [f"mine-{number}" for number in range(200)]
        for task_id in stay:
            await publish(target, id=task_id)
            await publish(source, id=task_id, task_name="mail:another", delay=60.0)
        moved = await publish_many(source, 200, delay=70.0)
        read: list[str] = []
        tasks = SqliteBroker.tasks

        async def noted(self: SqliteBroker, *args: Any, **options: Any) -> Page[TaskDetail]:
            page = await tasks(self, *args, **options)
            read.extend(task.id for task in page.items)
            return page

        monkeypatch.setattr(SqliteBroker, "tasks", noted)
        report = await move_queue(source, target)
        assert (report.queues[0].delayed, report.queues[0].left) == (len(moved), len(stay))
        assert len(read) <= 3 * (len(stay) + len(moved))

    async def test_another_schedule_with_the_name_stays_and_is_named(
        self, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        record = await keep_schedule(source)
        await publish(source)
        schedule = record.schedule
        assert schedule is not None
        await target.put_schedule(replace(schedule, misfire="skip"), 2**31)
        done = await call_ltq("move", from_url, redis_url)
        assert done.code == 1
        expected = "ltq: schedule nightly stays: the target has another one with this name\n"
        assert done.err == expected
        (kept,) = await source.schedules(["nightly"])
        assert kept == record, "and it goes on there"

    async def test_so_does_one_that_running_code_at_the_target_declares(
        self, source: Broker, target: Broker
    ) -> None:
        record = await keep_schedule(source)
        await publish(source)
        await declare(target)
        report = await move_queue(source, target)
        assert (report.schedules.conflicts, report.is_whole) == ([record.name], False)
        assert await source.schedules([record.name]) == [record]

    async def test_what_a_worker_claims_meanwhile_is_named(
        self,
        from_url: str,
        redis_url: str,
        source: Broker,
        target: Broker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Somebody resumes the queue between the two halves of a batch."""
        first, _ = await publish_many(source, 2)
        adopt = RedisBroker.adopt

        async def claimed_meanwhile(broker: RedisBroker, parcels: Sequence[Parcel]) -> object:
            await source.resume(QUEUE)
            async with source.consumer([QUEUE]) as consumer:
                await claim_one(source, consumer)
            return await adopt(broker, parcels)

        monkeypatch.setattr(RedisBroker, "adopt", claimed_meanwhile)
        done = await call_ltq("move", from_url, redis_url)
        assert done.code == 1
        assert done.err == f"ltq: task {first} was started at the source while it was moved\n"
        assert done.out.startswith(f"{QUEUE}: 1 task moved (1 pending, 0 delayed, 0 dead), 1 run")

    async def test_what_comes_meanwhile_is_told(
        self,
        from_url: str,
        redis_url: str,
        source: Broker,
        target: Broker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Somebody sends to the old store when all that waited was moved."""
        sent = [(await publish(source)).id]
        stats = SqliteBroker.stats

        async def sent_meanwhile(broker: SqliteBroker, queues: Sequence[str]) -> object:
            sent.append((await publish(source)).id)
            return await stats(broker, queues)

        monkeypatch.setattr(SqliteBroker, "stats", sent_meanwhile)
        done = await call_ltq("move", from_url, redis_url)
        monkeypatch.undo()
        left = len(await waiting(source, Status.PENDING))
        assert done.code == 1
        assert done.err == f"ltq: {QUEUE}: {left} tasks left: repeat the command\n"
        assert (await call_ltq("move", from_url, redis_url)).code == 0
        assert await waiting(target, Status.PENDING) == sent


@pytest.mark.slow
class TestStopped:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    async def test_a_signal_and_a_repetition(
        self, number: signal.Signals, from_url: str, redis_url: str, source: Broker, target: Broker
    ) -> None:
        ids = await publish_many(source, 6000)

        async def has_begun() -> bool:
            (stats,) = await target.stats([QUEUE])
            return stats.pending > 0

        async with start_ltq("move", from_url, redis_url) as running:
            await eventually(has_begun, description="the first batch")
            running.process.send_signal(number)
            done = await running.end()
        assert done.code in (130, -signal.SIGKILL, 0), "it may have been quicker"
        assert (await call_ltq("move", from_url, redis_url)).code == 0
        async with target.consumer([QUEUE]) as consumer:
            claimed: list[str] = []
            while some := await claim_ids(consumer, 1000):
                claimed += some
        assert claimed == ids
        assert await waiting(source, Status.PENDING) == []
