"""Queues that several workers serve, of which each knows only some tasks."""

import asyncio
import logging

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.message import Envelope, new_id
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.fixtures import OpenBroker

SHARED = "emails"


def envelope(task_name: str, queue: str = SHARED, body: bytes = b"[[],{}]") -> Envelope:
    return Envelope(id=new_id(), queue=queue, task_name=task_name, body=body)


async def one() -> int:
    return 1


class TestSharedQueue:
    @pytest.mark.parametrize("queue", [SHARED, "shop:all", "shop:shopping", "bank:banking"])
    async def test_each_task_runs_once_in_a_worker_that_knows_it(
        self, open_broker: OpenBroker, queue: str
    ) -> None:
        shop, bank = Worker("shop", broker=open_broker()), Worker("bank", broker=open_broker())
        ran: list[str] = []

        @shop.task(queue=queue)
        async def shopping() -> None:
            ran.append("shop")

        @bank.task(queue=queue)
        async def banking() -> None:
            ran.append("bank")

        handles = []
        for _ in range(30):
            handles += [await shopping.send(), await banking.send()]
        async with shop, bank:
            states = await asyncio.gather(*(handle.wait(PATIENCE) for handle in handles))
        assert {state.status for state in states} == {Status.COMPLETED}
        assert {(state.dequeue_count, state.requeue_count) for state in states} == {(1, 0)}
        assert (ran.count("shop"), ran.count("bank")) == (30, 30)

    async def test_an_idle_worker_gets_what_another_one_met(self, open_broker: OpenBroker) -> None:
        """The wrong worker is alone at first, so it is the one that is woken."""
        shop, bank = Worker("shop", broker=open_broker()), Worker("bank", broker=open_broker())
        shop.task(name="shopping", queue=SHARED)(one)
        banking = bank.task(name="banking", queue=SHARED)(one)
        async with shop:
            waiting = await banking.send()
            async with bank:
                assert await waiting.result(PATIENCE) == 1
                for _ in range(20):
                    assert await (await banking.send()).result(PATIENCE) == 1

    async def test_known_tasks_start_in_the_order_they_came(self, broker: Broker) -> None:
        worker = Worker("shop", broker=broker, concurrency=1)
        order: list[int] = []

        @worker.task(queue=SHARED)
        async def letter(number: int) -> None:
            order.append(number)

        @worker.task(queue=SHARED)
        async def news(number: int) -> None:
            order.append(number)

        for number in range(0, 12, 4):
            await letter.send(number)
            await news.send(number + 1)
            body = f"[[{number + 2}],{{}}]".encode()
            await broker.publish([envelope("shop:letter", body=body), envelope("bank:other")])
            await letter.send(number + 3)
        await worker.run(burst=True)
        assert order == list(range(12))

    async def test_a_burst_ends_although_unknown_tasks_wait(self, worker: Worker) -> None:
        task = worker.task(name="known", queue=SHARED)(one)
        await worker.broker.publish([envelope("bank:other") for _ in range(250)])
        handle = await task.send()
        await asyncio.wait_for(worker.run(burst=True), PATIENCE)
        assert await handle.result(1) == 1
        (stats,) = await worker.broker.stats([SHARED])
        assert (stats.pending, stats.unserved) == (250, {"bank:other": 250})

    async def test_a_task_that_is_put_back_comes_to_its_worker(
        self, open_broker: OpenBroker
    ) -> None:
        shop, bank = Worker("shop", broker=open_broker()), Worker("bank", broker=open_broker())
        shop.task(name="shopping", queue=SHARED)(one)
        attempts: list[int] = []

        @bank.task(queue=SHARED, max_tries=3, backoff=0.01)
        async def banking() -> int:
            attempts.append(1)
            if len(attempts) < 3:
                raise ValueError("not yet")
            return len(attempts)

        handle = await banking.send()
        async with shop, bank:
            assert await handle.result(PATIENCE) == 3
            assert (await handle.state()).dequeue_count == 3


class TestRollingDeployment:
    async def test_new_tasks_wait_for_the_new_worker(self, open_broker: OpenBroker) -> None:
        old, new = (Worker("shop", broker=open_broker()) for _ in range(2))
        for worker in (old, new):
            worker.task(name="letter", queue=SHARED)(one)
        news = new.task(name="news", queue=SHARED)(one)
        async with old:
            handles = [await news.send() for _ in range(60)]

            async def met() -> bool:
                (stats,) = await old.broker.stats([SHARED])
                return stats.unserved == {"shop:news": 60}

            await eventually(met)
            states = [await handle.state() for handle in handles]
            assert {state.status for state in states} == {Status.PENDING}
            assert {state.dequeue_count for state in states} == {0}
            async with new:
                handles += [await news.send() for _ in range(20)]
                assert await ltq.gather(*handles, timeout=PATIENCE) == (1,) * 80
                assert {(await handle.state()).dequeue_count for handle in handles} == {1}

    async def test_a_task_that_was_renamed_is_found_by_its_former_name(
        self, open_broker: OpenBroker
    ) -> None:
        first, other, renamed = (Worker("shop", broker=open_broker()) for _ in range(3))
        before = first.task(name="mail", queue=SHARED)(one)
        other.task(name="other", queue=SHARED)(one)
        renamed.task(name="letter", queue=SHARED, aliases=("mail",))(one)
        async with other:
            handle = await before.send()

            async def met() -> bool:
                (stats,) = await other.broker.stats([SHARED])
                return stats.unserved == {"shop:mail": 1}

            await eventually(met)
            async with renamed:
                assert await handle.result(PATIENCE) == 1
                assert await (await before.send()).result(PATIENCE) == 1

    async def test_a_task_that_went_to_another_queue_is_still_run_from_the_former_one(
        self, open_broker: OpenBroker
    ) -> None:
        old, other, new = (Worker("shop", broker=open_broker()) for _ in range(3))
        before = old.task(name="mail", queue=SHARED)(one)
        other.task(name="other", queue=SHARED)(one)
        new.task(name="other", queue=SHARED)(one)
        new.task(name="mail", queue="shop:slow")(one)
        async with other:
            handle = await before.send()

            async def met() -> bool:
                (stats,) = await other.broker.stats([SHARED])
                return bool(stats.unserved)

            await eventually(met)
            async with new:
                assert await handle.result(PATIENCE) == 1


class TestUnknownEverywhere:
    async def test_it_waits_and_is_told_of(
        self, worker: Worker, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        known = worker.task(name="known", queue=SHARED)(one)
        strangers = [envelope("bank:new"), envelope("bank:new"), envelope("shop:old")]
        await broker.publish(strangers)
        async with worker:
            for _ in range(5):
                assert await (await known.send()).result(PATIENCE) == 1
                await broker.publish([envelope("bank:new")])
        states = await broker.states(SHARED, [one.id for one in strangers])
        assert [state and state.status for state in states] == [Status.PENDING] * 3
        assert [state and state.dequeue_count for state in states] == [0] * 3
        warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        assert len(warnings) == 2, "once for each name and queue"
        for name in ("bank:new", "shop:old"):
            (told,) = [text for text in warnings if text.startswith(f"{name}: ")]
            assert SHARED in told
            assert "`aliases`" in told
        (finding,) = [one for one in await broker.examine(scan=0) if one.name == "unknown tasks"]
        assert finding.severity == "warning"
        assert "bank:new" in finding.text
        assert "shop:old (1 waiting)" in finding.text

    async def test_of_very_many_names_some_are_told_at_a_time(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker.task(name="known", queue=SHARED)(one)
        await worker.broker.publish([envelope(f"bank:task{number}") for number in range(40)])
        await worker.run(burst=True)
        assert caplog.text.count("no live worker knows") == 10

    async def test_nothing_is_told_where_a_live_worker_knows_it(
        self, open_broker: OpenBroker, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop, bank = Worker("shop", broker=open_broker()), Worker("bank", broker=open_broker())
        shop.task(name="shopping", queue=SHARED)(one)
        banking = bank.task(name="banking", queue=SHARED)(one)
        async with bank:

            async def lives() -> bool:
                return await bank.broker.served([f"{SHARED}/bank:banking"]) == [0.0]

            await eventually(lives)
            async with shop:
                handles = [await banking.send() for _ in range(20)]
                await ltq.gather(*handles, timeout=PATIENCE)
        assert "no live worker" not in caplog.text

    async def test_a_worker_tells_of_what_others_met_before(
        self, worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.upkeep.lookout.FIRST_LOOKS", (0.01, 0.01, 0.01))
        monkeypatch.setattr("ltq._worker.upkeep.lookout.PATIENCE", 0.0)
        worker.task(name="known", queue=SHARED)(one)
        await worker.broker.publish([envelope("bank:new")])
        await worker.run(burst=True)
        caplog.clear()
        async with worker:
            await eventually(lambda: "bank:new: 1 waiting in queue emails" in caplog.text)


class Crowd:
    """A task that counts how many of it run at once."""

    def __init__(self) -> None:
        self.most = self._running = 0

    async def join(self) -> None:
        self._running += 1
        self.most = max(self.most, self._running)
        await asyncio.sleep(0.002)  # the task's own time
        self._running -= 1


class TestGainedLimit:
    """A task that gets a limit, in a queue that it shares."""

    @pytest.mark.parametrize("queue", [SHARED, "shop:other"])
    async def test_it_holds_for_what_was_sent_before(
        self, open_broker: OpenBroker, queue: str
    ) -> None:
        old, new = (Worker("shop", broker=open_broker()) for _ in range(2))
        work = Crowd()
        before = old.task(name="work", queue=queue)(work.join)
        other = new.task(name="other", queue=queue)(one)
        after = new.task(name="work", queue=queue, max_running=2)(work.join)
        handles = [await before.send() for _ in range(15)]
        handles += [await after.send() for _ in range(5)]
        async with new:
            assert await (await other.send()).result(PATIENCE) == 1
            await ltq.gather(*handles, timeout=PATIENCE)
        assert work.most == 2
        assert {(await handle.state()).dequeue_count for handle in handles} == {1}

    async def test_it_holds_in_a_burst(self, open_broker: OpenBroker) -> None:
        old, new = (Worker("shop", broker=open_broker()) for _ in range(2))
        loop = asyncio.get_running_loop()
        starts: list[float] = []

        async def work() -> None:
            starts.append(loop.time())

        before = old.task(name="work", queue=SHARED)(work)
        new.task(name="work", queue=SHARED, max_rate="20/s")(work)
        for _ in range(5):
            await before.send()
        await asyncio.wait_for(new.run(burst=True), PATIENCE)
        assert len(starts) == 5
        assert max(starts) - min(starts) > 0.1, "two start at once, then one each 50 ms"

    async def test_it_holds_in_the_queue_it_was_sent_to_before(
        self, open_broker: OpenBroker
    ) -> None:
        old, new = (Worker("shop", broker=open_broker()) for _ in range(2))
        work = Crowd()
        before = old.task(name="work", queue=SHARED)(work.join)
        new.task(name="other", queue=SHARED)(one)
        new.task(name="work", queue="shop:slow", max_running=1)(work.join)
        handles = [await before.send() for _ in range(8)]
        async with new:
            await ltq.gather(*handles, timeout=PATIENCE)
        assert work.most == 1

    async def test_a_task_that_loses_its_limit_runs_at_once(self, open_broker: OpenBroker) -> None:
        old, new = (Worker("shop", broker=open_broker()) for _ in range(2))
        before = old.task(name="work", queue=SHARED, max_rate="1/h")(one)
        after = new.task(name="work", queue=SHARED)(one)
        handles = [await before.send() for _ in range(5)] + [await after.send() for _ in range(5)]
        async with new:
            assert await ltq.gather(*handles, timeout=PATIENCE) == (1,) * 10
