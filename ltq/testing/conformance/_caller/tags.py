"""Tags that a task declares and a send adds, as callers, middleware and logs see them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.testing.conformance._caller.sync import ClosesSync
from ltq.testing.conformance._support.factories import run_until_final


class SeesTags(ltq.Middleware):
    """Writes down the tags of what is sent and run."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ...]] = []
        self.ran: list[tuple[str, ...]] = []

    def on_send(self, message: ltq.Message[Any], task: ltq.Task[..., Any]) -> None:
        self.sent.append(message.tags)

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        self.ran.append(message.tags)
        yield


class TestTagsOfTasks(ClosesSync):
    async def test_those_of_the_task_and_of_the_send_together(self, worker: Worker) -> None:
        @worker.task(tags=("billing", "tenant:0"))
        async def bill(number: int) -> None: ...

        @worker.task
        async def plain() -> None: ...

        handles = [
            await bill.send(1),
            await bill.with_options(tags=["tenant:7", "billing"]).send(2),
            await bill.with_options(tags=("a",)).with_options(tags=("b",), delay=30).send(3),
            *await bill.with_options(tags=("all",)).send_many(
                [bill.message(4), bill.with_options(tags=("own",)).message(5)]
            ),
            await plain.send(),
        ]
        assert [(await handle.state()).tags for handle in handles] == [
            ("billing", "tenant:0"),
            ("billing", "tenant:0", "tenant:7"),
            ("billing", "tenant:0", "b"),
            ("billing", "tenant:0", "all"),
            ("billing", "tenant:0", "own"),
            (),
        ]
        assert bill.message(1).tags == ("billing", "tenant:0")

    async def test_without_an_event_loop(self, worker: Worker) -> None:
        @worker.task(tags=("billing",))
        async def bill() -> None: ...

        handle = await asyncio.to_thread(bill.with_options(tags=("tenant:7",)).send_sync)
        assert (await bill.handle(handle.id).state()).tags == ("billing", "tenant:7")

    async def test_middleware_and_the_task_see_them_at_each_try(self, worker: Worker) -> None:
        seen = SeesTags()
        worker.register_middleware(seen)
        runs: list[tuple[str, ...]] = []

        @worker.task(tags=("billing",), max_tries=2, backoff=0.001)
        async def bill() -> None:
            runs.append(ltq.current().tags)
            if len(runs) == 1:
                raise ValueError

        handle = await bill.with_options(tags=("tenant:7",)).send()
        (state,) = await run_until_final(worker, handle)
        tags = ("billing", "tenant:7")
        assert (state.status, state.tags, state.tries) == (Status.COMPLETED, tags, 1)
        assert (seen.sent, seen.ran, runs) == ([tags], [tags, tags], [tags, tags])

    async def test_they_are_in_the_log_records_of_its_runs(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        @worker.task(tags=("billing",))
        async def bill() -> None:
            logging.getLogger("shop").warning("here")

        caplog.handler.addFilter(ltq.TaskFilter())
        await run_until_final(worker, await bill.with_options(tags=("tenant:7",)).send())
        (record,) = [one for one in caplog.records if one.name == "shop"]
        assert record.__dict__["ltq_tags"] == ("billing", "tenant:7")

    async def test_dead_letters_and_replays_keep_them(self, worker: Worker, broker: Broker) -> None:
        @worker.task
        async def bill() -> None:
            raise ltq.RejectError("no")

        handle = await bill.with_options(tags=("tenant:7",)).send()
        await run_until_final(worker, handle)
        (letter,) = await broker.dead_letters(bill.queue)
        assert letter.tags == ("tenant:7",)
        await broker.replay(bill.queue, [handle.id])
        assert (await handle.state()).tags == ("tenant:7",)

    async def test_too_many_together_are_refused_by_name(self, worker: Worker) -> None:
        @worker.task(tags=tuple(f"t{number}" for number in range(10)))
        async def bill() -> None: ...

        with pytest.raises(ltq.ConfigurationError, match=r"17 tags.*t0, .*t9, s0, .*s6"):
            bill.with_options(tags=tuple(f"s{number}" for number in range(7)))
        most = (*(f"s{number}" for number in range(6)), "t0")
        assert len(bill.with_options(tags=most).message().tags) == 16
