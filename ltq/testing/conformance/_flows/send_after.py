"""Messages that are sent because a run completed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
import pytest_asyncio

import ltq
from ltq import Context, RejectError, RetryError, Status, Task, Worker
from ltq._flow.apart import carry_left
from ltq._flow.carry import carry
from ltq.broker import Broker
from ltq.broker.flows import pack_follow
from ltq.errors import ConfigurationError, InvalidArgumentsError, RunOverError
from ltq.message import Finish, Message, Published
from ltq.options import Priority
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import make_envelope


class Desk:
    """Two workers of one broker. What is sent after a run writes down that it ran."""

    def __init__(self, broker: Broker, worker: Worker) -> None:
        self.broker: Broker = broker
        self.worker: Worker = worker
        self.other: Worker = Worker("post", broker=broker, concurrency=10, lease=5.0)
        self.ran: list[str] = []
        self.contexts: list[Context] = []

        @self.other.task
        async def receipt(text: str) -> str:
            self.ran.append(text)
            return text

        @self.other.task(max_pending=1, result_ttl=0)
        async def small(text: str) -> None:
            self.ran.append(text)

        self.receipt: Task[[str], str] = receipt
        self.small: Task[[str], None] = small

    async def noted(self, *texts: str) -> None:
        """Wait until these ran, in any order, and all is carried on. Fail if others ran."""
        queues = [self.receipt.queue, self.small.queue]

        async def is_settled() -> bool:
            left = [*await self.broker.endings("shop:x"), *await self.broker.endings("post:x")]
            stats = await self.broker.stats(queues)
            is_idle = not any(one.pending or one.working for one in stats)
            return is_idle and not left and len(self.ran) >= len(texts)

        await eventually(is_settled, description=f"the end of {texts}")
        assert sorted(self.ran) == sorted(texts)


@pytest_asyncio.fixture(loop_scope="function")
async def desk(broker: Broker, worker: Worker) -> Desk:
    """A desk whose workers do not run yet."""
    return Desk(broker, worker)


class TestSendAfter:
    async def test_it_is_sent_when_the_run_has_completed(self, desk: Desk) -> None:
        may_end = asyncio.Event()

        @desk.worker.task
        async def order(number: int) -> int:
            for text in ("a", "b"):
                await ltq.current().send_after(desk.receipt.message(f"{text}{number}"))
            with_id = desk.receipt.with_options(id=f"c{number}")
            await ltq.current().send_after(with_id.message("c"))
            await may_end.wait()
            return number

        async with desk.worker, desk.other:
            handle = await order.send(7)
            running = asyncio.create_task(handle.wait(PATIENCE))
            state = await desk.broker.states(desk.receipt.queue, ["c7"])
            may_end.set()
            await running
            await desk.noted("a7", "b7", "c")
            assert await desk.receipt.handle("c7").result(PATIENCE) == "c"
        assert state == [None]

    async def test_a_plain_function_and_a_stream_do_it_too(self, desk: Desk) -> None:
        @desk.worker.task
        def plain() -> None:
            ltq.current().send_after_sync(desk.receipt.message("plain"))

        @desk.worker.task
        async def stream() -> AsyncIterator[int]:
            yield 1
            await ltq.current().send_after(desk.receipt.message("stream"))
            yield 2

        @desk.worker.task
        def plain_stream() -> Iterator[int]:
            yield 1
            ltq.current().send_after_sync(desk.receipt.message("plain stream"))

        async with desk.worker, desk.other:
            for task in (plain, stream, plain_stream):
                await (await task.send()).wait(PATIENCE)
            await desk.noted("plain", "stream", "plain stream")

    async def test_options_of_the_message_count(self, desk: Desk) -> None:
        later = desk.receipt.with_options(
            id="later", delay=timedelta(hours=1), priority="high", tags=("a",), result_ttl=7
        )

        @desk.worker.task
        async def order() -> None:
            await ltq.current().send_after(later.message("later"))
            once = desk.receipt.with_options(unique_for=60)
            await ltq.current().send_after(once.message("once"))
            await ltq.current().send_after(once.message("once"))
            for _ in range(3):  # a full queue takes them
                await ltq.current().send_after(desk.small.message("small"))

        async with desk.worker:
            await (await order.send()).wait(PATIENCE)
            await eventually(
                lambda: carried(desk.broker), description="the end of what is to be sent"
            )
        state = await desk.broker.state(later.queue, "later")
        assert (state.status, state.priority, state.tags) == (Status.DELAYED, Priority.HIGH, ("a",))
        assert state.due_time is not None
        assert state.due_time - await desk.broker.time() == pytest.approx(3600, abs=30)
        async with desk.other:
            await desk.noted("once", "small", "small", "small")

    async def test_nodes_of_workflows_and_elements_of_maps_do_it_too(self, desk: Desk) -> None:
        @desk.worker.task(result_ttl=0)
        async def numbers(count: int) -> list[int]:
            await ltq.current().send_after(desk.receipt.message("numbers"))
            return [*range(count)]

        @desk.other.task
        async def double(number: int) -> int:
            await ltq.current().send_after(desk.receipt.message(f"double {number}"))
            return 2 * number

        async with desk.worker, desk.other:
            handle = await numbers.step(3).map(double).send()
            assert await handle.result(PATIENCE) == [0, 2, 4]
            await numbers.send(0)
            await desk.noted("numbers", "numbers", "double 0", "double 1", "double 2")


async def carried(broker: Broker) -> bool:
    """Whether nothing is left to carry on."""
    return not await broker.endings("shop:x")


class TestNotSentAfter:
    async def test_a_run_that_does_not_complete_sends_nothing(self, desk: Desk) -> None:
        @desk.worker.task(max_tries=2, backoff=0.01)
        async def order(how: str) -> str:
            attempt = ltq.current().attempt
            await ltq.current().send_after(desk.receipt.message(f"{how} {attempt}"))
            if how == "fail" or (how == "error" and attempt == 1):
                raise ValueError(how)
            if how == "reject":
                raise RejectError(how)
            if how == "retry" and attempt == 1:
                raise RetryError(delay=0.01)
            if how == "encode":
                return cast(str, object())
            return how

        async with desk.worker, desk.other:
            for how in ("fail", "error", "reject", "retry", "encode"):
                await (await order.send(how)).wait(PATIENCE)
            await desk.noted("error 2", "retry 2")

    async def test_nor_does_one_that_is_cancelled_late_or_put_back(self, desk: Desk) -> None:
        begun: list[str] = []

        @desk.worker.task(timeout=0.05)
        async def late() -> None:
            await ltq.current().send_after(desk.receipt.message("late"))
            await asyncio.Event().wait()

        @desk.worker.task
        async def hang() -> None:
            await ltq.current().send_after(desk.receipt.message("hang"))
            begun.append(ltq.current().id)
            await asyncio.Event().wait()

        async with desk.other:
            async with desk.worker:
                await (await late.send()).wait(PATIENCE)
                first, second = await hang.send(), await hang.send()
                await eventually(lambda: len(begun) == 2, description="both run")
                await first.cancel()
                await first.wait(PATIENCE)
                desk.worker.stop(now=True)
            assert (await second.state()).status is Status.PENDING
            await desk.noted()

    async def test_nor_does_a_run_that_is_over(self, desk: Desk) -> None:
        @desk.worker.task
        async def order() -> None:
            desk.contexts.append(ltq.current())

        async with desk.worker, desk.other:
            await (await order.send()).wait(PATIENCE)
            with pytest.raises(RunOverError):
                await desk.contexts[0].send_after(desk.receipt.message("late"))
            await desk.noted()


class TestLeftUnsent:
    async def test_what_a_worker_has_left_another_one_sends_once(self, desk: Desk) -> None:
        """A worker that dies between an outcome and what follows from it, or while that is sent."""

        @desk.worker.task
        async def order() -> None: ...

        handle = await order.send()
        queue = desk.receipt.queue
        after = [make_envelope(queue=queue, body=b'[["x"],{}]', has_new_id=False) for _ in range(3)]
        async with desk.broker.consumer([order.queue], lease=5.0) as consumer:
            (delivery,) = await desk.broker.claim(consumer, 1, timeout=PATIENCE)
        outcome = Finish(delivery.lease, Status.COMPLETED, b"null", follow=pack_follow(after))
        await desk.broker.finish([outcome])
        assert await desk.broker.publish(after[:2]) == [Published.CREATED] * 2
        async with desk.other:
            await desk.receipt.handle(after[1].id).wait(PATIENCE)
            endings = await desk.broker.endings(order.queue)
            await asyncio.gather(*(carry(desk.broker, endings) for _ in range(2)))
            assert await carry_left(desk.broker, order.queue) == 0
            await desk.noted("x", "x", "x")
        assert (await handle.state()).status is Status.COMPLETED

    async def test_an_id_of_another_task_holds_up_nothing(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        @desk.worker.task
        async def order() -> None:
            for task_id, text in (("taken", "a"), ("free", "b")):
                task = desk.receipt.with_options(id=task_id)
                await ltq.current().send_after(task.message(text))

        await desk.small.with_options(id="taken", result_ttl=60).send("small")
        async with desk.worker, desk.other:
            await (await order.send()).wait(PATIENCE)
            await desk.noted("small", "b")
        assert "taken was not sent" in caplog.text


class TestSendAfterMistakes:
    async def test_they_are_errors_of_the_call(self, desk: Desk) -> None:
        elsewhere = Worker("elsewhere", broker_url="memory://elsewhere")

        @elsewhere.task
        async def far() -> None: ...

        plain = Message(args=("x",), kwargs={}, task_name=desk.receipt.name)
        errors: list[Exception] = []

        @desk.worker.task
        async def order() -> None:
            given: tuple[Any, ...] = (far.message(), plain, "no message", far, None)
            for one in given:
                try:
                    await ltq.current().send_after(one)
                except (ConfigurationError, InvalidArgumentsError) as error:
                    errors.append(error)
            large = desk.receipt.message("x" * 1_000_000)
            try:
                for _ in range(17):
                    await ltq.current().send_after(large)
            except InvalidArgumentsError as error:
                errors.append(error)

        async with desk.worker:
            await (await order.send()).wait(PATIENCE)
        texts = [str(error) for error in errors]
        assert len(texts) == 6
        assert "memory://elsewhere" in texts[0]
        assert all("task.message(...)" in text for text in texts[1:5])
        assert "16777216 bytes" in texts[5]
        with pytest.raises(ConfigurationError, match="outside a running task"):
            ltq.current()
