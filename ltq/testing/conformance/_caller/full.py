"""Back-pressure: a full queue refuses a task, or makes its sender wait."""

import asyncio

import pytest

import ltq
from ltq import Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import reached, started


async def exists(handle: ltq.Handle) -> bool:
    """Whether there is such a task."""
    try:
        await handle.state()
    except ltq.TaskNotFoundError:
        return False
    return True


class TestFullQueue:
    async def test_the_error_tells_depth_and_limit(self, worker: Worker) -> None:
        @worker.task(max_pending=3)
        async def pack(number: int) -> None: ...

        await pack.with_options(delay=30).send(0)
        with pytest.raises(ltq.QueueFullError) as caught:
            await pack.send_many([pack.message(number) for number in range(5)])
        error = caught.value
        assert (error.queue, error.depth, error.limit) == ("shop:pack", 3, 3)
        assert "3 tasks wait, max_pending=3" in str(error)

    async def test_one_that_waits_is_sent_when_there_is_room(self, worker: Worker) -> None:
        @worker.task(max_pending=2, on_full="wait")
        async def pack(number: int) -> int:
            return number

        sending = await started(
            worker.broker, pack.send_many([pack.message(number) for number in range(10)])
        )
        assert not sending.done()
        async with worker:
            handles = await asyncio.wait_for(sending, PATIENCE)
            assert [await handle.result(PATIENCE) for handle in handles] == list(range(10))

    async def test_it_waits_no_longer_than_told(self, worker: Worker) -> None:
        @worker.task(max_pending=1, on_full="wait", full_timeout=0.05)
        async def pack(number: int) -> None: ...

        await pack.send(1)
        with pytest.raises(ltq.QueueFullError):
            await pack.send(2)
        with pytest.raises(ltq.QueueFullError):
            await pack.with_options(on_full="raise").send(3)

    async def test_for_one_send(self, worker: Worker) -> None:
        @worker.task(max_pending=1)
        async def pack(number: int) -> int:
            return number

        await pack.send(1)
        with pytest.raises(ltq.QueueFullError):
            await pack.send(2)
        waiting = await started(worker.broker, pack.with_options(on_full="wait").send(3))
        async with worker:
            assert await (await waiting).result(PATIENCE) == 3

    async def test_each_message_of_a_call_waits_as_it_says_itself(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task(max_pending=1)
        async def pack(number: int) -> int:
            return number

        patient = pack.with_options(on_full="wait", full_timeout=PATIENCE)
        messages = [patient.message(1), pack.message(2), patient.message(3), patient.message(4)]
        await pack.send(0)
        sending = await started(broker, pack.send_many(messages))
        assert not sending.done()
        async with worker:
            with pytest.raises(ltq.QueueFullError):
                await asyncio.wait_for(sending, PATIENCE)
            for message in (messages[0], *messages[2:]):
                assert await pack.handle(message.id).result(PATIENCE) == message.args[0]
        with pytest.raises(ltq.TaskNotFoundError):
            await pack.handle(messages[1].id).state()

    async def test_an_impatient_call_has_patient_messages(self, worker: Worker) -> None:
        @worker.task(max_pending=1, on_full="wait", full_timeout=PATIENCE)
        async def pack(number: int) -> int:
            return number

        await pack.send(0)
        with pytest.raises(ltq.QueueFullError):
            await pack.with_options(on_full="raise").send_many([pack.message(1)])
        patient = pack.with_options(full_timeout=PATIENCE).message(2)
        shortly = pack.with_options(full_timeout=0.05)
        sending = await started(worker.broker, shortly.send_many([pack.message(1), patient]))
        with pytest.raises(ltq.QueueFullError):
            await pack.with_options(full_timeout=0.05).send(3)
        assert not sending.done()
        async with worker:
            with pytest.raises(ltq.QueueFullError):
                await asyncio.wait_for(sending, PATIENCE)
            assert await pack.handle(patient.id).result(PATIENCE) == 2

    async def test_each_waits_as_it_says_without_an_event_loop(self, worker: Worker) -> None:
        @worker.task(max_pending=2)
        async def pack(number: int) -> None: ...

        held = await pack.with_options(delay=3600).send(0)
        patient = pack.with_options(on_full="wait")
        messages = [pack.message(1), pack.message(2), patient.message(3)]
        sending = asyncio.create_task(asyncio.to_thread(pack.send_many_sync, messages))
        await eventually(lambda: exists(pack.handle(messages[0].id)))
        await held.cancel()
        with pytest.raises(ltq.QueueFullError):
            await asyncio.wait_for(sending, PATIENCE)
        assert await exists(pack.handle(messages[2].id))
        assert not await exists(pack.handle(messages[1].id))
        await asyncio.to_thread(ltq.close_sync)

    async def test_a_cancelled_wait_sends_nothing_more(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task(max_pending=1, on_full="wait")
        async def pack(number: int) -> None: ...

        await pack.send(1)
        waiting = await started(worker.broker, pack.send(2))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await reached(broker)  # it may have been trying just then
        await broker.clear(pack.queue)
        assert (await broker.stats([pack.queue]))[0].pending == 0

    async def test_many_that_wait_are_sent_as_fast_as_they_are_done(self, worker: Worker) -> None:
        @worker.task(max_pending=10, on_full="wait")
        async def pack(number: int) -> int:
            return number

        async with worker, asyncio.timeout(PATIENCE):
            handles = await pack.send_many([pack.message(number) for number in range(300)])
            assert await ltq.gather(*handles) == tuple(range(300))

    async def test_waiting_without_a_limit_is_refused(self, worker: Worker) -> None:
        with pytest.raises(ltq.ConfigurationError, match="on_full needs max_pending"):
            worker.task(on_full="wait")(asyncio.sleep)
