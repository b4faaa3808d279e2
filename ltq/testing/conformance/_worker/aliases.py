"""Tasks that had other names: `aliases`, and the warning about what nobody runs any more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker, namespace_of
from ltq.message import Published
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import publish, publish_many, run_until_final

OPTIONS: list[dict[str, Any]] = [
    {},
    {"queue": "shop:shared"},
    {"max_running": 1},
    {"queue": "shop:shared", "max_rate": "1000/s"},
    {"queue": "elsewhere"},
]


@dataclass
class Price:
    cents: int


def make_worker(broker: Broker) -> Worker:
    return Worker("shop", broker=broker, concurrency=4)


def formerly(broker: Broker, **options: Any) -> ltq.Task[..., Any]:
    """The task as it was declared before it got another name."""

    @make_worker(broker).task(name="old", **options)
    async def old(number: int) -> Price:
        return Price(number)

    return old


async def first_task() -> None: ...


async def second_task() -> None: ...


class TestAliases:
    @pytest.mark.parametrize("before", OPTIONS, ids=str)
    @pytest.mark.parametrize("now", OPTIONS, ids=str)
    async def test_what_was_sent_under_a_former_name_runs(
        self, broker: Broker, before: dict[str, Any], now: dict[str, Any]
    ) -> None:
        if "queue" in before and before.get("queue") != now.get("queue"):
            return  # a queue that the task has left is not its former name
        worker = make_worker(broker)

        @worker.task(aliases=("older", "old"), **now)
        async def new(number: int) -> Price:
            return Price(number)

        sent = await formerly(broker, **before).send(3)
        (state,) = await run_until_final(worker, sent)
        assert (state.result, state.task_name) == (Price(3), "shop:old")
        if namespace_of(new.queue) == namespace_of(sent.queue):
            assert await new.handle(sent.id).result(timeout=1) == Price(3)

    async def test_it_has_the_options_of_the_new_one(self, broker: Broker) -> None:
        worker, runs = make_worker(broker), list[str]()

        @worker.task(aliases=["old"], max_tries=2, backoff=0.001)
        async def new(number: int) -> Price:
            runs.append(ltq.current().task_name)
            raise OSError("again")

        sent = await formerly(broker).send(3)
        (state,) = await run_until_final(worker, sent)
        assert (runs, state.error) == (["shop:old", "shop:old"], "OSError: again")

    async def test_a_dead_letter_of_a_former_name_runs_after_a_replay(self, broker: Broker) -> None:
        before, worker = make_worker(broker), make_worker(broker)

        @before.task
        async def old(number: int) -> Price:
            raise OSError("away")

        @worker.task(aliases=("old",))
        async def new(number: int) -> Price:
            return Price(number)

        sent = await old.send(3)
        await run_until_final(before, sent)
        assert await broker.replay(old.queue, [sent.id]) == [Published.CREATED]
        (state,) = await run_until_final(worker, new.handle(sent.id))
        assert state.result == Price(3)

    async def test_one_that_waits_for_its_time_or_runs_can_be_cancelled(
        self, broker: Broker
    ) -> None:
        worker, started = make_worker(broker), asyncio.Event()

        @worker.task(aliases=("old",), max_running=1)
        async def new(number: int) -> Price:
            started.set()
            await asyncio.Event().wait()
            return Price(number)

        old = formerly(broker, max_running=1)
        later, soon = await old.with_options(delay=60).send(1), await old.send(2)
        async with worker:
            await asyncio.wait_for(started.wait(), PATIENCE)
            for handle in (later, soon):
                assert await new.handle(handle.id).cancel()
                state = await new.handle(handle.id).wait(timeout=PATIENCE)
                assert state.status is Status.CANCELLED

    async def test_an_id_that_was_sent_under_a_former_name_is_not_enqueued_again(
        self, broker: Broker
    ) -> None:
        worker = make_worker(broker)

        @worker.task(aliases=("old",))
        async def new(number: int) -> Price:
            return Price(number)

        @worker.task
        async def other(number: int) -> Price:
            return Price(number)

        sent = await formerly(broker).with_options(id="order-7").send(7)
        again = await new.with_options(id="order-7").send(8)
        many = await new.send_many([new.with_options(id="order-7").message(9)])
        with pytest.raises(ltq.ConfigurationError, match="belongs to another task"):
            await other.with_options(id="order-7").send(8)
        (state,) = await run_until_final(worker, again)
        assert (str(sent), str(many[0]), state.result) == ("order-7", "order-7", Price(7))

    async def test_a_limit_holds_for_former_names(self, broker: Broker) -> None:
        worker, most, running = make_worker(broker), 0, 0

        @worker.task(aliases=("old",), max_running=1)
        async def new(number: int) -> None:
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

        old = formerly(broker)
        handles = [new.handle((await old.send(number)).id) for number in range(5)]
        await run_until_final(worker, *handles)
        assert most == 1

    async def test_limits_and_unique_calls_count_former_names_apart(self, broker: Broker) -> None:
        worker, both = make_worker(broker), asyncio.Barrier(2)

        @worker.task(aliases=("old",), max_running=1, unique_for=60)
        async def new(number: int) -> None:
            await both.wait()

        before = await formerly(broker, unique_for=60).send(7)
        now = await new.send(7)
        assert str(before) != str(now)
        async with worker, asyncio.timeout(PATIENCE):
            for handle in (before, now):
                await new.handle(str(handle)).result(timeout=PATIENCE)


class TestAliasMistakes:
    @pytest.mark.parametrize("aliases", ["old", ("",), ("a b",), (5,), ("old", "old"), None])
    def test_wrong_names_are_refused(self, worker: Worker, aliases: Any) -> None:
        with pytest.raises(ltq.ConfigurationError):

            @worker.task(aliases=aliases)
            async def new() -> None: ...

    @pytest.mark.parametrize("is_late", [False, True])
    @pytest.mark.parametrize(
        ("options", "others"),
        [
            ({"aliases": ("other",)}, {"name": "other"}),
            ({"aliases": ("old",)}, {"name": "other", "aliases": ("old",)}),
        ],
    )
    def test_a_name_of_another_task_is_refused(
        self, worker: Worker, is_late: bool, options: dict[str, Any], others: dict[str, Any]
    ) -> None:
        declare: list[Callable[[], object]] = [
            lambda: worker.task(**options)(first_task),
            lambda: worker.task(**others)(second_task),
        ]
        first, second = reversed(declare) if is_late else declare
        first()
        with pytest.raises(ltq.ConfigurationError, match="are both called 'shop:o"):
            second()
        assert len(worker.tasks) == 1

    def test_its_own_name_is_refused(self, worker: Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match="its own name among its aliases"):

            @worker.task(aliases=("new",))
            async def new() -> None: ...

    async def test_a_queue_that_another_tasks_limit_would_hold_up_is_refused(
        self, worker: Worker
    ) -> None:
        @worker.task(aliases=("old",), max_running=1)
        async def new() -> None: ...

        @worker.task(queue="shop:old")
        async def other() -> None: ...

        with pytest.raises(ltq.ConfigurationError, match="give one of them another queue"):
            await worker.run(burst=True)


TEXT = "wait in queue"


class TestLookout:
    @pytest.fixture(autouse=True)
    def looks_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ltq._worker.upkeep.lookout.FIRST_LOOKS", (0.01, 0.01, 0.01))
        monkeypatch.setattr("ltq._worker.upkeep.lookout.PATIENCE", 0.0)

    async def test_it_tells_once_what_it_does_not_serve(
        self, worker: Worker, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        @worker.task(aliases=("former",))
        async def known() -> None: ...

        await publish_many(broker, 3, queue="shop:renamed")
        await publish_many(broker, 2, queue="shop:removed", task_name="shop:removed")
        await publish(broker, queue="elsewhere:old")
        await publish(broker, queue="shop:later", delay=60.0)
        later = known.with_options(delay=60)
        await later.send()
        async with worker:
            await eventually(lambda: caplog.text.count(TEXT) >= 2)
            handle = await known.send()
            await handle.wait(timeout=PATIENCE)
        told = [record.getMessage() for record in caplog.records if TEXT in record.getMessage()]
        assert sorted(text.partition(",")[0] for text in told) == [
            "2 tasks wait in queue shop:removed",
            "3 tasks wait in queue shop:renamed",
        ]

    async def test_what_another_worker_runs_is_well(
        self, worker: Worker, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        other, started, over = Worker("shop", broker=broker, concurrency=1), [], asyncio.Event()

        @other.task
        async def busy() -> None:
            started.append(1)
            await over.wait()

        looked = asyncio.Event()
        inspect = broker.stats

        async def looking(queues: list[str]) -> object:
            answer = await inspect(queues)
            looked.set()
            return answer

        @worker.task
        async def known() -> None: ...

        await busy.send_many([busy.message() for _ in range(3)])
        async with other:
            await eventually(lambda: started)
            broker.stats = looking  # type: ignore[assignment, method-assign]  # a test's own
            async with worker:
                await asyncio.wait_for(looked.wait(), PATIENCE)
            over.set()
        assert TEXT not in caplog.text
