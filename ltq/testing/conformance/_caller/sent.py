"""What middleware, metrics and listeners are told of a send: only what was enqueued counts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

import ltq
from ltq import Message, Middleware, Task
from ltq._scheduler.loop import SchedulerLoop
from ltq.broker import Broker
from ltq.broker.schedule_slots import ScheduleSlot
from ltq.errors import BrokerError, QueueFullError
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.fixtures import OpenBroker


class Counted(Middleware):
    """Counts the messages that it sees, and what it is told of them then."""

    def __init__(self) -> None:
        self.seen = 0
        self.told: list[bool | None] = []

    def on_send(
        self, message: Message[Any], task: Task[..., Any]
    ) -> Callable[[bool | None], object]:
        self.seen += 1
        return self.told.append

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        yield


def make(
    broker: Broker, **options: Any
) -> tuple[Counted, ltq.Task[[int], None], list[ltq.Event], ltq.Worker]:
    """A task, and what is told of its sends: by middleware and by events."""
    counted, heard = Counted(), list[ltq.Event]()
    worker = ltq.Worker("mail", broker=broker, middlewares=[counted])
    worker.subscribe(heard.append)

    @worker.task(**options)
    async def send(number: int) -> None: ...

    return counted, send, heard, worker


class TestWhatWasEnqueued:
    async def test_a_task_that_is_there_already_was_not(self, broker: Broker) -> None:
        counted, task, heard, _ = make(broker)
        for _ in range(3):
            await task.with_options(id="a").send(1)
        message = task.message(2)
        await task.send_many([message, message])
        assert counted.told == [True, False, False, True, False]
        assert len(heard) == 2

    async def test_a_duplicate_was_not(self, broker: Broker) -> None:
        counted, task, heard, _ = make(broker, unique_for=60)
        await task.send(1)
        await task.send(1)
        assert counted.told == [True, False]
        assert len(heard) == 1

    async def test_what_found_no_room_was_not(self, broker: Broker) -> None:
        counted, task, heard, _ = make(broker, max_pending=2)
        with pytest.raises(QueueFullError):
            await task.send_many([task.message(number) for number in range(3)])
        assert sorted(map(str, counted.told)) == ["False", "True", "True"]
        assert len(heard) == 2

    async def test_what_waited_for_room_was_once(self, broker: Broker) -> None:
        counted, task, heard, _ = make(broker, max_pending=1, on_full="wait", full_timeout=20)
        await task.send(1)
        sending = asyncio.create_task(task.send(2))

        async def waits() -> bool:
            return counted.seen == 2

        await eventually(waits, description="the second send")
        await broker.clear(task.queue)
        await sending
        assert counted.told == [True, True]
        assert len(heard) == 2

    async def test_without_an_answer_it_is_not_known(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted, task, heard, _ = make(broker)

        async def away(*_: object) -> None:
            raise BrokerError("away")

        monkeypatch.setattr(broker, "publish", away)
        with suppress(BrokerError):
            await task.send(1)
        assert counted.told == [None]
        assert heard == []

    async def test_of_schedulers_only_the_one_that_fired(self, open_broker: OpenBroker) -> None:
        counted, _, heard, worker = make(open_broker())
        worker.cron("@daily", name="every")(worker.task(name="none")(_nothing))
        brokers = [open_broker() for _ in range(3)]
        (schedule,) = worker.schedules
        now = int(await brokers[0].time())
        begins = ScheduleSlot(
            schedule=schedule.name, queue=schedule.task.queue, spec=schedule.spec, due=now + 60
        )
        last = (await brokers[0].fire(begins)).last
        await brokers[0].fire(replace(begins, after=last, slot=now - 86400))
        loops = [SchedulerLoop(broker, worker.schedules) for broker in brokers]
        for loop in loops:
            loop.start()

        async def all_told() -> bool:
            return bool(counted.told) and len(counted.told) == counted.seen

        await eventually(all_told, description="the slot")
        for loop in loops:
            await loop.aclose()
        assert counted.told.count(True) == 1
        assert None not in counted.told
        assert [event.kind for event in heard] == ["enqueued"]


async def _nothing() -> None: ...
