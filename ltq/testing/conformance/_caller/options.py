"""Options of a task that sends messages which were made elsewhere, and messages sent twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.options import MAX_COUNT
from ltq.testing.conformance._caller.sync import ClosesSync
from ltq.testing.conformance._support.eventually import PATIENCE


class TestOptionsOfManyMessages(ClosesSync):
    async def test_they_hold_for_each_message(self, worker: Worker) -> None:
        @worker.task
        async def pack(number: int) -> None: ...

        chosen = pack.with_options(delay=3600, timeout=7)
        handles = await chosen.send_many([pack.message(number) for number in range(3)])
        for handle in handles:
            state = await handle.state()
            assert (state.status, state.timeout) == (Status.DELAYED, 7)

    async def test_they_hold_without_an_event_loop(self, worker: Worker) -> None:
        @worker.task
        async def pack(number: int) -> None: ...

        chosen = pack.with_options(delay=3600, timeout=7)
        messages = [pack.message(number) for number in range(3)]
        for one in await asyncio.to_thread(chosen.send_many_sync, messages):
            state = await pack.handle(one.id).state()
            assert (state.status, state.timeout) == (Status.DELAYED, 7)

    async def test_the_largest_numbers_are_taken(self, worker: Worker) -> None:
        most = MAX_COUNT

        @worker.task(max_tries=most, max_deliveries=most, max_pending=most, max_running=most)
        async def pack(number: int) -> AsyncIterator[int]:
            yield number

        async with worker:
            for task in (pack, pack.with_options(max_tries=most, max_items=most)):
                assert await (await task.send(7)).collect(PATIENCE) == [7]

    async def test_a_message_that_says_its_own_keeps_it(self, worker: Worker) -> None:
        @worker.task
        async def pack(number: int) -> None: ...

        soon, past = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
        handles = await pack.with_options(delay=3600, timeout=7).send_many(
            [
                pack.with_options(delay=0).message(0),
                pack.with_options(timeout=9).message(1),
                pack.with_options(eta=past).message(2),
                pack.message(3),
            ]
        )
        states = [await handle.state() for handle in handles]
        statuses = [state.status for state in states]
        waits, delayed = Status.PENDING, Status.DELAYED
        assert statuses == [waits, delayed, waits, delayed]
        assert [state.timeout for state in states] == [7, 9, 7, 7]
        later = pack.with_options(eta=soon)
        (handle,) = await later.send_many([pack.with_options(delay=0).message(4)])
        assert (await handle.state()).status is waits

    async def test_priorities_of_each(self, worker: Worker) -> None:
        seen: list[int] = []

        @worker.task
        async def pack(number: int) -> None:
            seen.append(number)

        messages = [pack.message(0), pack.with_options(priority="high").message(1)]
        await pack.with_options(priority="low").send_many(messages)
        await pack.send(2)
        worker.concurrency = 1
        await worker.run(burst=True)
        assert seen == [1, 2, 0]

    async def test_an_id_is_for_one_message(self, worker: Worker, broker: Broker) -> None:
        @worker.task
        async def pack(number: int) -> None: ...

        chosen = pack.with_options(id="order-7")
        (handle,) = await chosen.send_many([pack.message(7)])
        assert handle.id == "order-7"
        with pytest.raises(ltq.ConfigurationError, match=r"id='order-7'.*2 messages"):
            await chosen.send_many([pack.message(8), pack.message(9)])
        assert (await broker.stats([pack.queue]))[0].pending == 1

    async def test_messages_of_one_call_are_unique_for_a_time(self, worker: Worker) -> None:
        @worker.task
        async def pack(number: int) -> None: ...

        chosen = pack.with_options(unique_for=60)
        first, again, other = await chosen.send_many([pack.message(n) for n in (1, 1, 2)])
        assert first == again != other


class TestSameMessage:
    async def test_it_is_one_task_however_often_it_is_sent(
        self, worker: Worker, broker: Broker
    ) -> None:
        runs: list[int] = []

        @worker.task
        async def pack(number: int) -> int:
            runs.append(number)
            return number

        message = pack.message(7)
        first, again = await pack.send_many([message, message])
        (later,) = await pack.send_many([message])
        assert first == again == later
        assert (await broker.stats([pack.queue]))[0].pending == 1
        await worker.run(burst=True)
        (ended,) = await pack.send_many([message])
        assert await ended.result(PATIENCE) == 7
        await worker.run(burst=True)
        assert runs == [7]
