"""Schedulers that run take on what is put, changed, paused and removed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq.broker import Broker
from ltq.errors import BrokerError, ConfigurationError, ScheduleNotFoundError
from ltq.schedule import slot_id
from ltq.scheduler import Misfire, Scheduler
from ltq.testing.conformance._schedules.kept import read
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import QUEUE
from ltq.testing.conformance._support.fixtures import OpenBroker

SECOND = "* * * * * *"
"""An expression that is due each second."""

NEVER = "0 0 29 2 *"
"""One that is due once in four years."""


def make_task(broker: Broker, **options: Any) -> ltq.Task[[str], None]:
    worker = ltq.Worker("mail", broker=broker)

    @worker.task(**options)
    async def send(to: str) -> None: ...

    return send


async def waiting(broker: Broker) -> int:
    """How many tasks of the schedules wait."""
    (stats,) = await broker.stats([QUEUE])
    return stats.pending


@asynccontextmanager
async def running(*schedulers: Scheduler) -> AsyncIterator[None]:
    """Let schedulers run."""
    if not schedulers:
        yield
        return
    async with schedulers[0], running(*schedulers[1:]):
        yield


async def grows(broker: Broker, than: int = 0) -> None:
    """Wait until more tasks wait."""
    await eventually(lambda: _more(broker, than), description="slots that are fired")


async def _more(broker: Broker, than: int) -> bool:
    return await waiting(broker) > than


class TestPutAtRunTime:
    async def test_every_scheduler_that_runs_takes_it_on(self, open_broker: OpenBroker) -> None:
        brokers = [open_broker() for _ in range(3)]
        task = make_task(brokers[0], result_ttl=0)
        others = [Scheduler(broker=broker) for broker in brokers[1:]]
        async with running(*others):
            scheduler, message = Scheduler(broker=brokers[0]), task.message("a")
            await scheduler.put("tick", SECOND, message, misfire="all")
            began = (await read(brokers[0], "tick")).last
            await grows(brokers[0], 2)
        record = await read(brokers[0], "tick")
        assert record.fired == record.last
        assert await waiting(brokers[0]) == record.last - began
        assert await brokers[0].body(QUEUE, slot_id("tick", record.last)) == b'[["a"],{}]'

    async def test_each_slot_is_fired_once_also_across_changes(
        self, open_broker: OpenBroker
    ) -> None:
        brokers = [open_broker() for _ in range(3)]
        broker = brokers[0]
        task = make_task(broker, result_ttl=0)
        scheduler = Scheduler(broker=broker)
        began = int(await broker.time())
        async with running(*(Scheduler(broker=one) for one in brokers[1:])):
            for number in range(6):
                expr = (SECOND, "*/1 * * * * *")[number % 2]
                await scheduler.put("tick", expr, task.message(f"{number}"), misfire="all")
                await grows(broker, number)
            last = (await read(broker, "tick")).last
        assert await waiting(broker) <= last - began + 1
        await scheduler.remove("tick")

    async def test_what_is_wrong_is_told_and_nothing_is_kept(self, broker: Broker) -> None:
        task, scheduler = make_task(broker), Scheduler(broker=broker)
        message = task.message("a")
        wrong: list[Callable[[], Any]] = [
            lambda: scheduler.put("a b", "@daily", message),
            lambda: scheduler.put("", "@daily", message),
            lambda: scheduler.put("n" * 181, "@daily", message),
            lambda: scheduler.put("x", "@dayly", message),
            lambda: scheduler.put("x", "@daily", message, tz="Mars/Base"),
            lambda: scheduler.put("x", "@daily", message, misfire="never"),  # type: ignore[arg-type]  # that is the test
            lambda: scheduler.put("x", "@daily", task.with_options(id="1").message("a")),
            lambda: scheduler.put("x", "@daily", "message"),  # type: ignore[arg-type]  # that is the test
        ]
        for put in wrong:
            with pytest.raises(ConfigurationError):
                await put()
        scheduler.cron("@daily", message, name="own")
        with pytest.raises(ConfigurationError, match="'own' is declared in code"):
            await scheduler.put("own", "@daily", message)
        assert await broker.schedule_marks() == {}

    async def test_a_name_belongs_to_one_worker(self, broker: Broker) -> None:
        scheduler = Scheduler(broker=broker)
        other = ltq.Worker("shop", broker=broker)

        @other.task
        async def pay() -> None: ...

        await scheduler.put("nightly", NEVER, make_task(broker).message("a"))
        with pytest.raises(ConfigurationError, match="is put already for worker 'mail'"):
            await scheduler.put("nightly", NEVER, pay.message())


class TestPauseAtRunTime:
    @pytest.mark.parametrize(("misfire", "made_up"), [("once", 1), ("skip", 0), ("all", 3)])
    async def test_what_was_due_meanwhile_is_seen_to_by_the_policy(
        self, broker: Broker, misfire: Misfire, made_up: int
    ) -> None:
        task, scheduler = make_task(broker), Scheduler(broker=broker)
        await scheduler.put("tick", SECOND, task.message("a"), misfire=misfire)
        await scheduler.pause("tick")
        last = (await read(broker, "tick")).last

        async def passed() -> bool:
            return await broker.time() >= last + 4

        async with scheduler:
            await eventually(passed, description="slots during the pause")
            assert await waiting(broker) == 0
            assert (await read(broker, "tick")).last == last
            await scheduler.resume("tick")
            resumed = (await read(broker, "tick")).resumed
            await eventually(lambda: self.is_past(broker, int(resumed) + 1))
            await scheduler.pause("tick")
            record = await read(broker, "tick")
        on_time = record.last - int(resumed)
        missed = int(resumed) - last
        assert (
            await waiting(broker)
            in {
                "once": range(on_time, on_time + made_up + 1),
                "skip": range(on_time, on_time + 1),
                "all": range(on_time + missed, on_time + missed + 1),
            }[misfire]
        )

    async def is_past(self, broker: Broker, slot: int) -> bool:
        record = await read(broker, "tick")
        return record.fired is not None and record.last >= slot

    async def test_one_that_code_declares(self, broker: Broker) -> None:
        task, other = make_task(broker), Scheduler(broker=broker)
        scheduler = Scheduler(broker=broker)
        scheduler.cron(SECOND, task.message("a"), name="own")
        async with scheduler:
            await grows(broker)
            await other.pause("own")
            count = await waiting(broker)
            (info,) = await other.list()
            assert (info.origin, info.paused, info.next) == ("code", True, None)
            start = await broker.time()
            await eventually(lambda: self.has_passed(broker, start + 2))
            assert await waiting(broker) == count
            await other.resume("own")
            await grows(broker, count)
            with pytest.raises(ConfigurationError, match="declared in code"):
                await other.remove("own")
            with pytest.raises(ConfigurationError, match="declared in code"):
                await other.put("own", SECOND, task.message("a"))

    async def has_passed(self, broker: Broker, moment: float) -> bool:
        return await broker.time() >= moment

    async def test_one_that_was_never_begun(self, broker: Broker) -> None:
        scheduler = Scheduler(broker=broker)
        scheduler.cron(SECOND, make_task(broker).message("a"), name="own")
        await scheduler.pause("own")
        start = await broker.time()
        async with scheduler:
            await eventually(lambda: self.has_passed(broker, start + 2))
            assert await waiting(broker) == 0


class TestTriggeredSchedule:
    async def test_it_sends_now_and_moves_no_slot(self, broker: Broker) -> None:
        scheduler = Scheduler(broker=broker)
        await scheduler.put("nightly", NEVER, make_task(broker).message("a"))
        await scheduler.pause("nightly")
        record = await read(broker)
        sent = await scheduler.trigger("nightly")
        assert sent.startswith("nightly:")
        assert await broker.body(QUEUE, sent) == b'[["a"],{}]'
        assert await scheduler.trigger("nightly") != sent
        assert await read(broker) == record
        assert await waiting(broker) == 2

    async def test_with_its_id_it_may_be_repeated(self, broker: Broker) -> None:
        task, scheduler = make_task(broker), Scheduler(broker=broker)
        scheduler.cron("@daily", task.message("b"), name="own")
        await scheduler.put("nightly", NEVER, task.message("a"))
        for _ in range(2):
            assert await scheduler.trigger("nightly", id="one") == "one"
            assert await scheduler.trigger("own", id="two") == "two"
        assert await waiting(broker) == 2

    async def test_code_that_is_not_here_is_told(self, broker: Broker) -> None:
        scheduler = Scheduler(broker=broker)
        scheduler.cron("@daily", make_task(broker).message("b"), name="own")
        await scheduler.pause("own")
        with pytest.raises(ConfigurationError, match="code that is not here"):
            await Scheduler(broker=broker).trigger("own")


class TestListedSchedules:
    async def test_both_with_their_last_and_next_slot(self, broker: Broker) -> None:
        task, scheduler = make_task(broker), Scheduler(broker=broker, tz="Europe/Berlin")
        scheduler.cron(SECOND, task.message("b"), name="own", misfire="all")
        await scheduler.put("nightly", "0 3 * * *", task.message("a"))
        own, nightly = sorted(await scheduler.list(), key=lambda one: one.origin)
        assert (own.name, own.last, own.misfire) == ("own", None, "all")
        assert (nightly.name, nightly.expr, nightly.tz) == ("nightly", "0 3 * * *", "Europe/Berlin")
        assert (nightly.task_name, nightly.paused, nightly.last) == (QUEUE, False, None)
        assert nightly.next is not None
        assert 0 < nightly.next - await broker.time() <= 86400 + 3600
        async with scheduler:
            await grows(broker)
            own = (await scheduler.list())[1]
            now = await broker.time()
        assert own.last is not None
        assert own.next is not None
        assert now - 2 < own.last < own.next <= now + 1

    async def test_what_is_unknown_is_told_with_what_was_meant(self, broker: Broker) -> None:
        scheduler = Scheduler(broker=broker)
        assert await scheduler.list() == []
        await scheduler.put("nightly", NEVER, make_task(broker).message("a"))
        for verb in (scheduler.pause, scheduler.resume, scheduler.trigger, scheduler.remove):
            with pytest.raises(ScheduleNotFoundError, match=r"did you mean nightly\?"):
                await verb("nightli")
        await scheduler.remove("nightly")
        assert await scheduler.list() == []


class TestKeeperAway:
    async def test_a_scheduler_goes_on_when_it_is_back(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task, scheduler = make_task(broker), Scheduler(broker=broker)
        marks, asked = broker.schedule_marks, 0

        async def away() -> Any:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise BrokerError("away")
            return await marks()

        await scheduler.put("tick", SECOND, task.message("a"))
        monkeypatch.setattr(broker, "schedule_marks", away)
        async with scheduler:
            await grows(broker)
        assert asked >= 3
