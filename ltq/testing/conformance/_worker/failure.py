"""Tasks that fail, retry, are rejected or cannot be run, on a worker."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

import ltq
from ltq import Status, Worker
from ltq.broker import Broker
from ltq.message import Envelope, new_id
from ltq.testing.conformance._support.factories import run_until_final

_LONGEST = 16 * 1024
"""Most bytes of UTF-8 that are kept of an error's text."""


class TestFailure:
    async def test_an_error_without_max_tries_is_final(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> None:
            raise ValueError("no such thing")

        handle = await fail.send()
        (state,) = await run_until_final(worker, handle)
        assert (state.status, state.dequeue_count) == (Status.FAILED, 1)
        with pytest.raises(ltq.TaskFailedError, match="ValueError: no such thing") as caught:
            await handle.result(timeout=1)
        assert (caught.value.type, caught.value.message) == ("ValueError", "no such thing")
        assert "raise ValueError" in (caught.value.traceback or "")

    @pytest.mark.parametrize("kind", [ValueError, ltq.RejectError])
    async def test_of_a_long_text_beginning_and_end_are_kept(
        self, worker: Worker, caplog: pytest.LogCaptureFixture, kind: type[Exception]
    ) -> None:
        caplog.set_level(logging.CRITICAL, "ltq")  # the log has all of it

        @worker.task
        async def fail() -> None:
            raise kind("begin" + 1_000_000 * "ü" + "end")

        (state,) = await run_until_final(worker, await fail.send())
        letter = await worker.broker.dead_letter(fail.queue, state.id)
        for error in (state.error, letter.error):
            assert error is not None
            assert "begin" in error
            assert error.endswith("end")
            assert len(error.encode()) <= _LONGEST
        assert len((state.traceback or "").encode()) <= _LONGEST

    async def test_max_tries_counts_all_failing_runs(self, worker: Worker) -> None:
        attempts: list[int] = []

        @worker.task(max_tries=3, backoff=0.001)
        async def fail() -> None:
            attempts.append(ltq.current().attempt)
            raise OSError("again")

        (state,) = await run_until_final(worker, await fail.send())
        assert attempts == [1, 2, 3]
        assert (state.status, state.error) == (Status.FAILED, "OSError: again")
        (stats,) = await worker.broker.stats([fail.queue])
        assert (stats.dead, stats.pending, stats.delayed, stats.working) == (1, 0, 0, 0)

    async def test_a_try_that_succeeds_ends_it(self, worker: Worker) -> None:
        @worker.task(max_tries=5, backoff=lambda failed: 0.001 * failed)
        async def flaky() -> int:
            if ltq.current().attempt < 3:
                raise OSError("again")
            return ltq.current().attempt

        (state,) = await run_until_final(worker, await flaky.send())
        assert (state.result, state.error, state.requeue_count) == (3, None, 2)

    async def test_retry_on_chooses_the_errors(self, worker: Worker) -> None:
        @worker.task(max_tries=3, backoff=0.001, retry_on=OSError)
        async def fail(kind: str) -> None:
            raise OSError("os") if kind == "os" else KeyError("key")

        states = await run_until_final(worker, await fail.send("os"), await fail.send("key"))
        assert [state.dequeue_count for state in states] == [3, 1]

    async def test_retry_error_keeps_its_delay_and_may_repeat(self, worker: Worker) -> None:
        @worker.task
        async def insist() -> int:
            if ltq.current().attempt < 4:
                raise ltq.RetryError(delay=0.001, message="not yet")
            return ltq.current().attempt

        (state,) = await run_until_final(worker, await insist.send())
        assert (state.result, state.dequeue_count) == (4, 4)

    async def test_retry_error_uses_up_tries_where_they_are_limited(self, worker: Worker) -> None:
        @worker.task(max_tries=2)
        async def insist() -> None:
            raise ltq.RetryError(message="not yet")

        (state,) = await run_until_final(worker, await insist.send())
        assert (state.status, state.dequeue_count) == (Status.FAILED, 2)
        assert state.error == "RetryError: not yet"

    @pytest.mark.parametrize("delay", [timedelta(milliseconds=1), 0.001, 0])
    async def test_retry_error_takes_any_duration(
        self, worker: Worker, delay: timedelta | float
    ) -> None:
        @worker.task
        async def insist() -> int:
            if ltq.current().attempt == 1:
                raise ltq.RetryError(delay=delay)
            return ltq.current().attempt

        (state,) = await run_until_final(worker, await insist.send())
        assert state.result == 2

    @pytest.mark.parametrize("delay", [float("inf"), float("nan"), -1, 1e300])
    async def test_a_delay_that_is_none_fails_the_task(self, worker: Worker, delay: float) -> None:
        @worker.task
        async def insist() -> None:
            raise ltq.RetryError(delay=delay)

        (state,) = await run_until_final(worker, await insist.send())
        assert state.status is Status.FAILED
        assert "RetryError.delay=" in (state.error or "")

    async def test_middleware_may_keep_what_it_knows_over_retries(self, broker: Broker) -> None:
        seen: list[Any] = []

        class Count(ltq.Middleware):
            @asynccontextmanager
            async def __call__(
                self, message: ltq.Message[Any], task: ltq.Task[..., Any]
            ) -> AsyncIterator[None]:
                seen.append(message.ctx.get("count", 0))
                message.ctx["count"] = message.ctx.get("count", 0) + 1
                yield

        worker = Worker("shop", broker=broker)
        worker.register_middleware(Count(), pos=0)

        @worker.task(max_tries=3, backoff=0.001)
        async def fail() -> None:
            raise OSError

        await run_until_final(worker, await fail.send())
        assert seen == [0, 1, 2]

    async def test_a_traceback_begins_where_the_users_code_does(self, worker: Worker) -> None:
        @worker.task
        async def fail() -> None:
            raise ValueError("no")

        (state,) = await run_until_final(worker, await fail.send())
        assert "_executor.py" not in (state.traceback or "")
        assert "in fail" in (state.traceback or "")

    async def test_a_task_that_cancels_itself_has_failed(self, worker: Worker) -> None:
        @worker.task
        async def give_up() -> None:
            raise asyncio.CancelledError

        (state,) = await run_until_final(worker, await give_up.send())
        assert state.status is Status.FAILED
        assert "CancelledError" in (state.error or "")

    async def test_that_is_an_error_like_any_other(self, worker: Worker) -> None:
        @worker.task(max_tries=3, backoff=0.001)
        async def give_up() -> int:
            if ltq.current().attempt < 3:
                raise asyncio.CancelledError
            return 3

        (state,) = await run_until_final(worker, await give_up.send())
        assert (state.status, state.result) == (Status.COMPLETED, 3)

    async def test_reject_error_is_final(self, worker: Worker) -> None:
        @worker.task(max_tries=5)
        async def refuse() -> None:
            raise ltq.RejectError("not for me")

        handle = await refuse.send()
        (state,) = await run_until_final(worker, handle)
        assert (state.status, state.error) == (Status.REJECTED, "not for me")
        with pytest.raises(ltq.TaskRejectedError, match="not for me"):
            await handle.result(timeout=1)
        letter = await worker.broker.dead_letter(refuse.queue, handle.id)
        assert (letter.status, letter.error) == (Status.REJECTED, "not for me")

    async def test_a_timeout_cuts_a_coroutine(self, worker: Worker) -> None:
        @worker.task(timeout=0.05)
        async def hang() -> None:
            await asyncio.Event().wait()

        (state,) = await run_until_final(worker, await hang.send())
        assert (state.status, state.timeout) == (Status.FAILED, 0.05)
        assert "did not end within its timeout of 0.05 s" in (state.error or "")

    async def test_too_old_is_rejected(self, worker: Worker) -> None:
        @worker.task(max_age=timedelta(milliseconds=20))
        async def news() -> None:
            return None

        handle = await news.with_options(delay=0.05).send()
        (state,) = await run_until_final(worker, handle)
        assert state.status is Status.REJECTED
        assert "too old" in (state.error or "")

    async def test_a_result_that_does_not_fit_fails_the_task(self, worker: Worker) -> None:
        @worker.task(max_tries=3)
        async def lie() -> int:
            return "text"  # type: ignore[return-value]  # the lie

        (state,) = await run_until_final(worker, await lie.send())
        assert (state.status, state.error_type) == (Status.FAILED, "ResultError")
        assert "int" in (state.error or "")
        assert state.dequeue_count == 1, "no other try would help"
        letter = await worker.broker.dead_letter(lie.queue, state.id)
        assert letter.error == state.error

    async def test_an_undecodable_body_is_rejected_and_the_others_run(
        self, worker: Worker, broker: Broker
    ) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        bad = Envelope(id=new_id(), queue=double.queue, task_name=double.name, body=b"\xff{[")
        await broker.publish([bad])
        good = await double.send(4)
        states = await run_until_final(worker, double.handle(bad.id), good)
        assert [state.status for state in states] == [Status.REJECTED, Status.COMPLETED]
        (stats,) = await broker.stats([double.queue])
        assert stats.dead == 1
