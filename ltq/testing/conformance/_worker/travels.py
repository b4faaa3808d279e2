"""What travels to a worker, and what the running code decides."""

import asyncio
import logging
import zlib
from typing import Any, Literal

import msgspec
import pytest

import ltq
from ltq import Status, Worker
from ltq._declared import DeclaredTask
from ltq.broker import Broker
from ltq.codec import Serializer
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import (
    claim_one,
    lose,
    make_envelope,
    publish,
    run_until_final,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

Format = Literal["json", "msgpack"] | Serializer


class Zipped:
    """A serializer of a user's own."""

    name = "Zipped"

    def dumps(self, value: Any) -> bytes:
        return zlib.compress(msgspec.json.encode(value))

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(zlib.decompress(data))


def versions(broker: Broker, old: dict[str, Any], new: dict[str, Any]) -> list[Worker]:
    """Two versions of the worker `shop`, with other options of the worker."""
    return [Worker("shop", broker=broker, **options) for options in (old, new)]


async def die_under(broker: Broker, make_consumer: MakeConsumer, queue: str, times: int) -> None:
    """Let workers die under the only task of a queue."""
    for _ in range(times):
        await lose(broker, await claim_one(broker, make_consumer(queue, lease=0.02)))


class TestOptionsOfTheRunningCode:
    async def test_the_timeout_is_that_of_the_code_that_runs(self, broker: Broker) -> None:
        old, new = versions(broker, {}, {})

        @old.task(name="work", timeout=0.01)
        async def impatient() -> str:
            return "never"

        @new.task(name="work", timeout=60)
        async def patient() -> str:
            await asyncio.sleep(0.05)  # the task's own time
            return "done"

        sent = await impatient.send()
        assert (await sent.state()).timeout == 0.01
        (state,) = await run_until_final(new, patient.handle(sent.id))
        assert (state.status, state.result, state.timeout) == (Status.COMPLETED, "done", 60.0)

    async def test_a_timeout_of_the_send_goes_with_it(self, broker: Broker) -> None:
        old, new = versions(broker, {}, {})

        @old.task(name="work", timeout=60)
        async def early() -> None: ...

        @new.task(name="work")
        async def late() -> None:
            await asyncio.sleep(PATIENCE)  # the task's own time

        sent = await early.with_options(timeout=0.02).send()
        (state,) = await run_until_final(new, late.handle(sent.id))
        assert (state.status, state.error_type, state.timeout) == (
            Status.FAILED,
            "TimeoutError",
            0.02,
        )

    async def test_a_fix_helps_what_is_replayed(self, broker: Broker) -> None:
        old, new = versions(broker, {}, {})

        @old.task(name="work", timeout=0.01, max_tries=1, result_ttl=60)
        async def broken() -> str:
            await asyncio.sleep(PATIENCE)  # the task's own time
            return "never"

        @new.task(name="work", timeout=60, max_tries=2, backoff=0.001, result_ttl=0.001)
        async def fixed() -> str:
            if ltq.current().attempt == 1:
                raise ValueError("not yet")
            return "done"

        sent = await broken.send()
        await run_until_final(old, sent)
        await broker.replay(broken.queue, [sent.id])
        async with new:
            await eventually(lambda: self._is_gone(broker, broken.queue, sent.id))
        assert await broker.dead_letters(broken.queue) == []

    @staticmethod
    async def _is_gone(broker: Broker, queue: str, task_id: str) -> bool:
        return await broker.states(queue, [task_id]) == [None]

    @pytest.mark.parametrize(
        ("declared", "deaths", "status"),
        [
            (1, 1, Status.REJECTED),
            (3, 2, Status.COMPLETED),
            (3, 3, Status.REJECTED),
            (None, 4, Status.COMPLETED),
            (None, 5, Status.REJECTED),
            (9, 6, Status.COMPLETED),
        ],
    )
    async def test_how_many_deaths_are_too_many_says_the_code_that_runs(
        self,
        broker: Broker,
        make_consumer: MakeConsumer,
        declared: int | None,
        deaths: int,
        status: Status,
    ) -> None:
        old, new = versions(broker, {}, {"concurrency": 1})
        options: dict[str, Any] = {} if declared is None else {"max_deliveries": declared}
        runs: list[int] = []

        @old.task(name="work", max_deliveries=2)
        async def early() -> None: ...

        @new.task(name="work", **options)
        async def late() -> None:
            runs.append(1)

        sent = await early.send()
        await die_under(broker, make_consumer, early.queue, deaths)
        (state,) = await run_until_final(new, late.handle(sent.id))
        assert state.status is status
        assert len(runs) == (status is Status.COMPLETED)
        if status is Status.REJECTED:
            times = "once" if deaths == 1 else f"{deaths} times"
            letter = await broker.dead_letter(early.queue, sent.id)
            assert state.error == letter.error == f"killed its worker {times}"
            assert state.error_type is state.traceback is None
            assert (letter.deaths, letter.status) == (deaths, Status.REJECTED)

    async def test_a_body_that_kills_is_not_read_any_more(
        self, broker: Broker, make_consumer: MakeConsumer, worker: Worker
    ) -> None:
        @worker.task(max_deliveries=1)
        async def work() -> None: ...

        envelope = make_envelope(
            queue=work.queue, task_name=work.name, body=b"\xff", max_deliveries=None
        )
        await broker.publish([envelope])
        await die_under(broker, make_consumer, work.queue, 1)
        (state,) = await run_until_final(worker, work.handle(envelope.id))
        assert state.error == "killed its worker once"

    async def test_an_older_message_that_says_it_keeps_it(
        self, broker: Broker, make_consumer: MakeConsumer, worker: Worker
    ) -> None:
        @worker.task(max_deliveries=9, timeout=60)
        async def work() -> None:
            await asyncio.sleep(PATIENCE)  # the task's own time

        body = DeclaredTask.of(work).codec.encode_call((), {})
        fields = {"queue": work.queue, "task_name": work.name, "body": body}
        quick = await publish(broker, **fields, timeout=0.02)
        (state,) = await run_until_final(worker, work.handle(quick.id))
        assert (state.error_type, state.timeout) == ("TimeoutError", 0.02)
        poison = await publish(broker, **fields, max_deliveries=1)
        await die_under(broker, make_consumer, work.queue, 1)
        assert (await work.handle(poison.id).state()).status is Status.REJECTED


class TestSerializersInAWorker:
    @pytest.mark.parametrize("new", ["json", "msgpack", Zipped()])
    @pytest.mark.parametrize("old", ["json", "msgpack"])
    async def test_another_version_reads_what_was_sent_and_returned(
        self, broker: Broker, old: Format, new: Format
    ) -> None:
        sender, runner = versions(broker, {"serializer": old}, {"serializer": new})

        @sender.task(name="work")
        async def sent(data: bytes, numbers: set[int]) -> tuple[bytes, set[int]]:
            return b"", set()

        @runner.task(name="work")
        async def run(data: bytes, numbers: set[int]) -> tuple[bytes, set[int]]:
            return data, numbers

        handle = await sent.send(b"\x00\xff", {1, 2})
        (state,) = await run_until_final(runner, run.handle(handle.id))
        assert state.result == (b"\x00\xff", {1, 2})
        if not isinstance(new, Zipped):  # whose name only one version knows
            assert await handle.result(timeout=1) == (b"\x00\xff", {1, 2})

    async def test_what_names_no_serializer_and_is_no_json_is_in_the_workers_own(
        self, broker: Broker
    ) -> None:
        for serializer in ("msgpack", Zipped()):
            worker = Worker("shop", broker=broker, serializer=serializer)

            @worker.task
            async def double(number: int) -> int:
                return 2 * number

            body = DeclaredTask.of(double).codec.encode_call((21,), {})
            old = await publish(broker, queue=double.queue, task_name=double.name, body=body)
            (state,) = await run_until_final(worker, double.handle(old.id))
            assert state.result == 42

    @pytest.mark.parametrize("queue", [None, "shared"])
    @pytest.mark.parametrize("limit", [None, 2])
    async def test_one_that_is_not_known_waits_for_a_worker_that_knows_it(
        self,
        broker: Broker,
        queue: str | None,
        limit: int | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        new, old = versions(broker, {"serializer": Zipped()}, {"serializer": "msgpack"})
        options: Any = {} if queue is None else {"queue": queue}
        options |= {} if limit is None else {"max_running": limit}
        workers: list[str] = []

        @new.task(name="work", **options)
        async def newer(number: int) -> int:
            workers.append("new")
            return number

        @old.task(name="work", **options)
        async def older(number: int) -> int:
            workers.append("old")
            return number

        caplog.set_level(logging.WARNING, "ltq.worker")
        handles = [await newer.send(number) for number in range(5)]
        async with old:
            await eventually(lambda: self._waits_apart(broker, newer.queue, 5))
            handles.append(await older.send(5))
            assert await older.handle(handles[-1].id).result(PATIENCE) == 5
            await eventually(lambda: "shop:work/Zipped: 5 waiting" in caplog.text)
            async with new:
                assert [await one.result(PATIENCE) for one in handles[:5]] == [0, 1, 2, 3, 4]
        assert workers == ["old"] + ["new"] * 5
        states = [await handle.state() for handle in handles]
        assert {(state.dequeue_count, state.requeue_count) for state in states} == {(1, 0)}

    @staticmethod
    async def _waits_apart(broker: Broker, queue: str, count: int) -> bool:
        (stats,) = await broker.stats([queue])
        return stats.unserved == {"shop:work/Zipped": count}

    async def test_one_whose_name_is_none_is_put_back(
        self, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        odd = Zipped()
        odd.name = "my zip"
        new, old = versions(broker, {"serializer": odd}, {"serializer": "json"})
        workers: list[str] = []

        @new.task(name="work", max_tries=1)
        async def newer(number: int) -> int:
            workers.append("new")
            return number

        @old.task(name="work", max_tries=1)
        async def older(number: int) -> int:
            workers.append("old")
            return number

        handles = [await newer.send(number) for number in range(2)]
        caplog.set_level(logging.WARNING, "ltq.worker")
        async with old:
            for handle in handles:
                await eventually(lambda one=handle: self._is_put_back(one))  # type: ignore[misc]  # a default
        told = [record for record in caplog.records if "another worker" in record.getMessage()]
        assert len(told) == 1
        assert "'my zip'" in told[0].getMessage()
        async with new:
            assert [await handle.result(PATIENCE) for handle in handles] == [0, 1]
        assert workers == ["new", "new"]

    @staticmethod
    async def _is_put_back(handle: ltq.Handle[Any]) -> bool:
        state = await handle.state()
        return state.status is Status.DELAYED and state.dequeue_count > 0

    async def test_a_result_that_is_not_known_is_an_error_that_says_so(
        self, broker: Broker
    ) -> None:
        new, old = versions(broker, {"serializer": Zipped()}, {"serializer": "msgpack"})

        @old.task(name="work")
        async def older(number: int) -> int:
            return 0

        @new.task(name="work")
        async def newer(number: int) -> int:
            return number

        sent = await older.send(3)
        await run_until_final(new, newer.handle(sent.id))
        with pytest.raises(ltq.DecodeError, match="'Zipped', which is not known here"):
            await sent.result(timeout=1)
