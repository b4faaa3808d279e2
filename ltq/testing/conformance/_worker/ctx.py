"""The `ctx` of a message: what middleware writes there is kept."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE
from ltq.testing.conformance._support.factories import run_until_final


class Marks(ltq.Middleware):
    """Writes down what it has seen, in a `ctx`."""

    def __init__(self, **values: Any) -> None:
        self.seen: list[dict[str, Any]] = []
        self.values = values

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        self.seen.append(dict(message.ctx))
        message.ctx["runs"] = message.ctx.get("runs", 0) + 1
        message.ctx.update(self.values)
        yield


def marked(broker: Broker, **values: Any) -> tuple[Worker, Marks]:
    marks = Marks(**values)
    worker = Worker("shop", broker=broker, concurrency=2, shutdown_timeout=0)
    worker.register_middleware(marks)
    return worker, marks


class TestCtxInAWorker:
    @pytest.mark.parametrize("error", [ValueError, ltq.RejectError])
    async def test_a_replay_has_what_the_last_run_wrote(
        self, broker: Broker, error: type[Exception]
    ) -> None:
        worker, marks = marked(broker)

        @worker.task
        async def work() -> None:
            raise error("no")

        handle = await work.send()
        await run_until_final(worker, handle)
        await broker.replay(work.queue, [handle.id])
        await run_until_final(worker, handle)
        assert marks.seen == [{}, {"runs": 1}]

    async def test_a_shutdown_keeps_it(self, broker: Broker) -> None:
        worker, marks = marked(broker)
        begun = asyncio.Event()

        @worker.task
        async def work() -> None:
            begun.set()
            if len(marks.seen) == 1:
                await asyncio.sleep(PATIENCE)  # the task's own time

        handle = await work.send()
        async with worker:
            await begun.wait()
        await run_until_final(worker, handle)
        assert marks.seen == [{}, {"runs": 1}]

    async def test_so_does_one_that_a_run_does_not_heed(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq._worker.run._CANCEL_TIMEOUT", 0.02)
        worker, marks = marked(broker)
        begun, end = asyncio.Event(), asyncio.Event()

        @worker.task
        async def work() -> None:
            begun.set()
            while not end.is_set() and len(marks.seen) == 1:
                try:
                    await end.wait()
                except asyncio.CancelledError:
                    continue

        handle = await work.send()
        async with worker:
            await begun.wait()
        end.set()
        await run_until_final(worker, handle)
        assert marks.seen == [{}, {"runs": 1}]

    async def test_what_cannot_travel_costs_nothing_else(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker, marks = marked(broker, lock=asyncio.Lock(), number=float("nan"), odd={1: b"\x00"})

        @worker.task(max_tries=2, backoff=0.001)
        async def work() -> None:
            raise ValueError("the task's own")

        caplog.set_level(logging.WARNING, "ltq.worker")
        (state,) = await run_until_final(worker, await work.send())
        assert (state.status, state.error) == (Status.FAILED, "ValueError: the task's own")
        assert state.dequeue_count == 2
        assert marks.seen == [{}, {"runs": 1, "number": None, "odd": {"1": "AA=="}}]
        told = [one.getMessage() for one in caplog.records if "cannot travel" in one.getMessage()]
        assert len(told) == 2  # one for each run
        assert all("ctx['lock']" in text for text in told)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("object", object()),
            ("surrogate", "\ud800"),
            ("\ud800", 1),
            ((1, 2), 3),
            (None, 1),
            ("deep", msgspec.json.decode("[" * 400 + "]" * 400)),
        ],
    )
    async def test_whatever_it_is(self, broker: Broker, key: Any, value: Any) -> None:
        worker, marks = marked(broker)
        if key == "deep":
            value = {"itself": value}
            value["itself"] = value

        @worker.task(max_tries=2, backoff=0.001)
        async def work() -> None:
            ltq.current().message.ctx[key] = value
            raise ValueError("the task's own")

        (state,) = await run_until_final(worker, await work.send())
        assert (state.error_type, state.dequeue_count) == ("ValueError", 2)
        assert marks.seen == [{}, {"runs": 1}]

    async def test_at_the_send_it_is_refused_by_name(self, broker: Broker) -> None:
        worker, _ = marked(broker)

        @worker.task
        async def work() -> None: ...

        message = work.message()
        message.ctx["lock"] = asyncio.Lock()
        with pytest.raises(ltq.InvalidArgumentsError, match=r"shop:work: ctx\['lock'\]"):
            await work.send_many([message])
