"""Handles of tasks that failed or were rejected, and were sent again from the dead letters."""

import asyncio

import pytest

import ltq
from ltq import Handle, Status, SyncHandle, Worker
from ltq.testing.conformance._support.eventually import PATIENCE


class Printer:
    """Fails, in one way or another, until it is on."""

    def __init__(self, worker: Worker) -> None:
        self.error: Exception | None = None
        self._worker = worker

        @worker.task
        async def label(text: str) -> str:
            if self.error is not None:
                raise self.error
            return text

        self.label = label

    async def replay(self, handle: Handle[str] | SyncHandle[str]) -> None:
        """Send the task again; now it completes."""
        self.error = None
        await self._worker.broker.replay(handle.queue, [handle.id])


ENDS = pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (OSError("off"), Status.FAILED, ltq.TaskFailedError),
        (ltq.RejectError("no paper"), Status.REJECTED, ltq.TaskRejectedError),
    ],
    ids=["failed", "rejected"],
)


class TestReplayedHandle:
    @ENDS
    async def test_it_gives_what_is(
        self, worker: Worker, error: Exception, status: Status, kind: type[ltq.TaskError]
    ) -> None:
        printer = Printer(worker)
        printer.error = error
        async with worker:
            handle, other = [await printer.label.send(text) for text in ("a", "b")]
            for one in (handle, other):
                with pytest.raises(kind):
                    await one.result(PATIENCE)
                assert (await one.wait(PATIENCE)).status is status
                with pytest.raises(kind):
                    await one.result(0)
            for one in (handle, other):
                await printer.replay(one)
            assert await ltq.gather(handle, other, timeout=PATIENCE) == ("a", "b")
            assert await handle.result(PATIENCE) == "a"
            assert (await handle.wait(0)).result == "a"
            assert (await handle.state()).status is Status.COMPLETED
            assert [state.result async for state in handle.watch(PATIENCE)] == ["a"]

    @ENDS
    async def test_it_is_waited_for_again(
        self, worker: Worker, error: Exception, status: Status, kind: type[ltq.TaskError]
    ) -> None:
        printer = Printer(worker)
        printer.error = error
        handle = await printer.label.send("a")
        await worker.run(burst=True)
        assert (await handle.state()).status is status
        await printer.replay(handle)
        with pytest.raises(ltq.ResultTimeoutError):
            await handle.result(0)
        with pytest.raises(ltq.ResultTimeoutError):
            await handle.wait(0.02)
        completed = ltq.as_completed([handle], timeout=PATIENCE)
        ended = asyncio.ensure_future(anext(aiter(completed)))
        await worker.run(burst=True)
        assert await (await ended).result() == "a"

    async def test_so_does_a_synchronous_one(self, worker: Worker) -> None:
        printer = Printer(worker)
        printer.error = OSError("off")
        async with worker:
            handle = await asyncio.to_thread(printer.label.send_sync, "a")
            with pytest.raises(ltq.TaskFailedError):
                await asyncio.to_thread(handle.result, PATIENCE)
            await printer.replay(handle)
            assert await asyncio.to_thread(handle.result, PATIENCE) == "a"
        await asyncio.to_thread(ltq.close_sync)
