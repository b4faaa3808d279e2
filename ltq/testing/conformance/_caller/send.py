"""Sending: options, ids, back-pressure, handles."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.periods import least


class TestSend:
    async def test_wrong_arguments_send_nothing(self, worker: Worker, broker: Broker) -> None:
        @worker.task
        async def order(number: int, *, note: str = "") -> None:
            return None

        with pytest.raises(ltq.InvalidArgumentsError, match=r"'number'.*int.*str"):
            await order.send("seven")  # type: ignore[arg-type]  # refused
        with pytest.raises(ltq.InvalidArgumentsError, match="colour"):
            await order.send(1, colour="red")  # type: ignore[call-arg]  # refused
        with pytest.raises(ltq.InvalidArgumentsError, match="number"):
            await order.send()  # type: ignore[call-arg]  # refused
        with pytest.raises(ltq.InvalidArgumentsError, match=r"'number'"):
            order.message("seven")  # type: ignore[arg-type]  # refused
        (stats,) = await broker.stats([order.queue])
        assert stats.pending == 0

    async def test_a_message_of_another_task_is_refused(self, worker: Worker) -> None:
        @worker.task
        async def one() -> int:
            return 1

        @worker.task
        async def text() -> str:
            return ""

        with pytest.raises(ltq.InvalidArgumentsError, match="shop:text"):
            await one.send_many([text.message()])  # type: ignore[list-item]  # refused

    async def test_a_repeated_id_is_not_enqueued_again(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task
        async def order(number: int) -> int:
            return number

        first = await order.with_options(id="order-7").send(7)
        second = await order.with_options(id="order-7").send(8)
        assert (str(first), first) == ("order-7", second)
        (stats,) = await broker.stats([order.queue])
        assert stats.pending == 1
        await worker.run(burst=True)
        assert await second.result(timeout=1) == 7

    async def test_an_id_of_another_task_is_refused(self, worker: Worker, broker: Broker) -> None:
        @worker.task
        async def order(number: int) -> int:
            return number

        @worker.task
        async def bill(number: int) -> str:
            return str(number)

        await order.with_options(id="order-7").send(7)
        with pytest.raises(ltq.ConfigurationError, match="id 'order-7' belongs to another task"):
            await bill.with_options(id="order-7").send(7)
        (stats,) = await broker.stats([bill.queue])
        assert stats.pending == 0

    async def test_delay_and_eta(self, worker: Worker) -> None:
        @worker.task
        async def later() -> None:
            return None

        states = [
            await (await task.send()).state()
            for task in (
                later.with_options(delay=30),
                later.with_options(delay=timedelta(minutes=1)),
                later.with_options(eta=datetime.now(UTC) + timedelta(hours=1)),
                later.with_options(eta=datetime.now(UTC) - timedelta(hours=1)),
            )
        ]
        assert [state.status for state in states] == [Status.DELAYED] * 3 + [Status.PENDING]

    async def test_a_delayed_task_starts_when_it_is_due(self, worker: Worker) -> None:
        @worker.task
        async def later() -> None:
            return None

        async def lateness() -> float:
            state = await (await later.with_options(delay=0.2).send()).wait(timeout=PATIENCE)
            late = (state.last_dequeue_time or 0) - (state.enqueue_time or 0) - 0.2
            assert late >= 0
            return late

        async with worker:
            assert await least(lateness, 0.15) < 0.15  # the benchmark measures it

    async def test_a_full_queue_refuses(self, worker: Worker) -> None:
        @worker.task(max_pending=5)
        async def order(number: int) -> None:
            return None

        answers = await asyncio.gather(
            *(order.send(number) for number in range(20)), return_exceptions=True
        )
        full = [answer for answer in answers if isinstance(answer, ltq.QueueFullError)]
        assert len(full) == 15
        assert full[0].limit == 5

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"delay": -1}, "delay=-1"),
            ({"eta": datetime(2030, 1, 1)}, "eta="),
            ({"priority": "urgent"}, "'urgent'.*high"),
            ({"timeout": 0}, "timeout=0"),
            ({"id": "a b"}, "'a b'"),
            ({"dely": 1}, "dely.*delay"),
            ({"delay": 1, "eta": datetime.now(UTC)}, "exclude"),
        ],
    )
    def test_wrong_options_are_named(
        self, worker: Worker, options: dict[str, object], text: str
    ) -> None:
        @worker.task
        async def order() -> None:
            return None

        with pytest.raises(ltq.ConfigurationError, match=text):
            order.with_options(**options)  # type: ignore[arg-type]  # refused


class TestHandle:
    async def test_another_process_may_ask(self, worker: Worker) -> None:
        @worker.task
        async def order(number: int) -> int:
            return number

        sent = await order.send(3)
        await worker.run(burst=True)
        assert await order.handle(str(sent)).result(timeout=1) == 3

    async def test_an_id_that_no_task_can_have_is_not_found_either(self, worker: Worker) -> None:
        @worker.task
        async def any_task() -> None: ...

        for task_id in ("", "a b", "a/b", "a\n", "x" * 201):
            handle = any_task.handle(task_id)
            for asked in (handle.state(), handle.result(1.0), handle.wait(0), handle.cancel()):
                with pytest.raises(ltq.TaskNotFoundError):
                    await asked
            with pytest.raises(ltq.TaskNotFoundError):
                await anext(handle.watch(1.0))

    async def test_an_unknown_id_is_not_found(self, worker: Worker) -> None:
        @worker.task
        async def order() -> None:
            return None

        for call in (order.handle("nobody").state, order.handle("nobody").result):
            with pytest.raises(ltq.TaskNotFoundError, match="nobody"):
                await call()

    async def test_a_result_that_does_not_come_in_time(self, worker: Worker) -> None:
        @worker.task
        async def order() -> None:
            return None

        handle = await order.send()
        for timeout in (0, 0.05):
            with pytest.raises(ltq.ResultTimeoutError):
                await handle.result(timeout=timeout)

    async def test_results_may_be_gone_at_once(self, worker: Worker) -> None:
        @worker.task(result_ttl=0)
        async def order() -> None:
            return None

        handle = await order.send()
        await worker.run(burst=True)
        with pytest.raises(ltq.TaskNotFoundError):
            await handle.result(timeout=PATIENCE)

    async def test_a_handle_that_has_seen_the_end_remembers_it(self, worker: Worker) -> None:
        @worker.task(result_ttl=0.3)
        async def order() -> int:
            return 7

        async with worker:
            handle = await order.send()
            assert await handle.result(timeout=PATIENCE) == 7

            async def is_gone() -> bool:
                try:
                    await handle.state()
                except ltq.TaskNotFoundError:
                    return True
                return False

            await eventually(is_gone)
            assert await handle.result() == 7
            with pytest.raises(ltq.TaskNotFoundError):
                await order.handle(handle.id).result()

    async def test_gather_keeps_the_order(self, worker: Worker) -> None:
        @worker.task
        async def number(value: int) -> int:
            await asyncio.sleep(0.001 * (5 - value))  # the task's own time
            return value

        @worker.task
        async def text() -> str:
            return "text"

        async with worker:
            handles = [await number.send(value) for value in range(5)]
            assert await ltq.gather(*handles) == (0, 1, 2, 3, 4)
            assert await ltq.gather(handles[3], await text.send()) == (3, "text")

    async def test_gather_raises_the_first_error(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> None:
            raise ValueError("no")

        @worker.task
        async def order() -> None:
            return None

        waiting = await order.with_options(delay=60).send()
        async with worker:
            with pytest.raises(ltq.TaskFailedError):
                await ltq.gather(waiting, await fail.send())
            errors = await ltq.gather(await fail.send(), return_exceptions=True)
        assert isinstance(errors[0], ltq.TaskFailedError)

    async def test_as_completed_gives_the_first_first(self, worker: Worker) -> None:
        go_on = asyncio.Event()

        @worker.task
        async def wait() -> str:
            await go_on.wait()
            return "slow"

        @worker.task
        async def quick() -> str:
            return "quick"

        async with worker:
            handles = [await wait.send(), await quick.send()]
            results = []
            async for handle in ltq.as_completed(handles):
                results.append(await handle.result(timeout=1))
                go_on.set()
            assert results == ["quick", "slow"]
            assert [await result for result in ltq.as_completed(handles)] in (
                ["quick", "slow"],
                ["slow", "quick"],
            )
