"""The events of a worker."""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Sequence

import pytest

import ltq
from ltq import Event, EventKind, EventReader, Worker
from ltq.broker import Broker
from ltq.message import Envelope
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import started
from ltq.testing.conformance._support.renewals import Renewals


def kinds(events: Sequence[Event], handle: "ltq.Handle[object] | None" = None) -> list[str]:
    return [event.kind.value for event in events if handle is None or event.id == handle.id]


async def next_of(events: EventReader) -> Event | None:
    return await anext(events, None)


class TestEventKinds:
    async def test_a_task_that_completes(self, worker: Worker) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        before = time.time()
        handle = await double.send(4)
        async with worker:
            assert await handle.result(timeout=PATIENCE) == 8
        assert kinds(heard) == ["enqueued", "started", "completed"]
        assert {(event.task_name, event.id) for event in heard} == {("shop:double", handle.id)}
        assert [event.attempt for event in heard] == [0, 1, 1]
        assert [event.duration is None for event in heard] == [True, True, False]
        assert 0 <= (heard[-1].duration or -1) < 5
        assert before <= heard[0].time <= heard[1].time <= heard[2].time <= time.time()
        assert {event.error for event in heard} == {None}

    async def test_one_that_fails_at_last(self, worker: Worker) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task(max_tries=2, backoff=0.001)
        async def fail() -> None:
            raise ValueError("no")

        async with worker:
            await (await fail.send()).wait(timeout=PATIENCE)
        assert kinds(heard) == ["enqueued", "started", "retried", "started", "failed"]
        assert [event.attempt for event in heard] == [0, 1, 1, 2, 2]
        assert [event.error for event in heard if event.duration is not None] == [
            "ValueError: no",
            "ValueError: no",
        ]

    async def test_one_that_is_rejected(self, worker: Worker) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task
        async def refuse() -> None:
            raise ltq.RejectError("not for me")

        async with worker:
            await (await refuse.send()).wait(timeout=PATIENCE)
        assert kinds(heard) == ["enqueued", "started", "rejected"]
        assert heard[-1].error == "not for me"

    async def test_one_that_is_cancelled_while_it_runs(self, worker: Worker) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task
        async def hang() -> None:
            await asyncio.Event().wait()

        async with worker:
            handle = await hang.send()
            await eventually(lambda: kinds(heard)[-1] == "started")
            await handle.cancel()
            await eventually(lambda: kinds(heard)[-1] == "cancelled")

    async def test_one_whose_worker_stops(self, worker: Worker) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task
        async def hang() -> None:
            await asyncio.Event().wait()

        await hang.send()
        async with worker:
            await eventually(lambda: kinds(heard)[-1] == "started")
            worker.stop(now=True)
        assert kinds(heard) == ["enqueued", "started", "requeued"]

    async def test_one_whose_lease_is_lost(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = Worker("shop", broker=broker, lease=0.3)
        heard: list[Event] = []
        worker.subscribe(heard.append)
        renewals = Renewals(broker, monkeypatch)

        @worker.task
        async def hang() -> None:
            await asyncio.Event().wait()

        async with worker:
            handle = await hang.send()
            await eventually(lambda: kinds(heard)[-1] == "started")
            await eventually(lambda: renewals.last)
            assert renewals.last is not None
            await broker.release(renewals.last)  # as another caller with the same lease
            await eventually(lambda: kinds(heard, handle)[-1] == "lost")

    async def test_one_that_was_there_already_is_not_enqueued(self, worker: Worker) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task(max_pending=2)
        async def work() -> None: ...

        once = work.with_options(id="once")
        await once.send()
        await once.send()
        with pytest.raises(ltq.QueueFullError):
            await work.send_many([work.message() for _ in range(3)])
        assert kinds(heard) == ["enqueued", "enqueued"]

    async def test_what_was_sent_elsewhere_is_only_run(
        self, worker: Worker, broker: Broker
    ) -> None:
        heard: list[Event] = []
        worker.subscribe(heard.append)

        @worker.task
        async def work() -> None: ...

        await broker.publish([Envelope(id="x", queue=work.queue, task_name=work.name, body=b"{")])
        async with worker:
            await work.handle("x").wait(timeout=PATIENCE)
        assert kinds(heard) == ["started", "rejected"]


class TestSubscribe:
    async def test_it_can_be_undone(self, worker: Worker) -> None:
        first: list[Event] = []
        second: list[Event] = []

        @worker.task
        async def work() -> None: ...

        undo = worker.subscribe(first.append)
        undo_again = worker.subscribe(first.append)
        worker.subscribe(second.append)
        await work.send()
        undo()
        undo()
        await work.send()
        undo_again()
        await work.send()
        assert (len(first), len(second)) == (3, 3)

    async def test_nothing_is_made_when_nobody_hears(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @worker.task
        async def work() -> None: ...

        worker.subscribe(lambda _: None)()
        monkeypatch.delattr("ltq.events.Event")
        async with worker:
            await (await work.send()).result(timeout=PATIENCE)

    async def test_one_that_fails_is_logged_and_hurts_nothing(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[Event] = []

        def fail(_: Event) -> None:
            raise RuntimeError("bad listener")

        def leave(_: Event) -> None:
            raise SystemExit

        worker.subscribe(fail)
        worker.subscribe(leave)
        worker.subscribe(heard.append)

        @worker.task
        async def work() -> int:
            return 1

        async with worker:
            assert await (await work.send()).result(timeout=PATIENCE) == 1
        assert kinds(heard) == ["enqueued", "started", "completed"]
        assert "RuntimeError: bad listener" in caplog.text

    def test_a_coroutine_function_is_refused(self, worker: Worker) -> None:
        async def listen(event: Event) -> None: ...

        with pytest.raises(ltq.ConfigurationError, match=r"worker\.events"):
            worker.subscribe(listen)

    def test_an_event_cannot_be_changed(self) -> None:
        event = Event(kind=EventKind.LOST, task_name="a", id="b", attempt=1, time=0.0)
        with pytest.raises(AttributeError):
            event.attempt = 2  # type: ignore[misc]  # it is frozen


class TestEventReader:
    async def test_it_gives_what_happens_from_now_on_and_ends_with_the_worker(
        self, worker: Worker
    ) -> None:
        @worker.task
        async def work() -> None: ...

        await work.send()
        events = worker.events()

        async def read() -> list[Event]:
            return [event async for event in events]

        reading = asyncio.create_task(read())
        handle = await work.send()
        async with worker:
            await handle.wait(timeout=PATIENCE)
        read_events = await asyncio.wait_for(reading, PATIENCE)
        assert kinds(read_events, handle) == ["enqueued", "started", "completed"]
        assert len(read_events) == 5
        assert events.dropped == 0

    async def test_it_keeps_the_latest_and_counts_what_it_drops(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        @worker.task
        async def work() -> None: ...

        events = worker.events(buffer=3)
        handles = await work.send_many([work.message() for _ in range(10)])
        assert events.dropped == 7
        assert caplog.text.count("event reader for shop is too slow") == 1
        assert [(await anext(events)).id for _ in range(3)] == [one.id for one in handles[7:]]
        await work.send()
        assert (await anext(events)).kind is EventKind.ENQUEUED
        assert events.dropped == 7
        await events.aclose()

    async def test_it_ends_when_it_is_closed(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @worker.task
        async def work() -> None: ...

        async with contextlib.aclosing(worker.events()) as events:
            waiting = await started(worker.broker, next_of(events))
            await events.aclose()
            assert await asyncio.wait_for(waiting, PATIENCE) is None
            await work.send()
            assert await anext(events, None) is None
        monkeypatch.delattr("ltq.events.Event")
        await work.send()  # without a listener it makes no event

    async def test_one_that_is_left_behind_costs_nothing_any_more(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @worker.task
        async def work() -> None: ...

        async def first() -> EventKind:
            async for event in worker.events():
                return event.kind
            raise AssertionError

        reading = await started(worker.broker, first())
        await work.send()
        assert await reading is EventKind.ENQUEUED
        del reading
        gc.collect()
        monkeypatch.delattr("ltq.events.Event")
        await work.send()  # without a listener it makes no event

    async def test_a_wait_may_be_cut_and_loses_nothing(self, worker: Worker) -> None:
        @worker.task
        async def work() -> None: ...

        events = worker.events()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(events)
        await work.send()
        assert (await anext(events)).kind is EventKind.ENQUEUED
        await events.aclose()

    async def test_two_may_not_share_one(self, worker: Worker) -> None:
        events = worker.events()
        waiting = await started(worker.broker, next_of(events))
        with pytest.raises(RuntimeError, match="give each its own"):
            await anext(events)
        await events.aclose()
        await waiting

    async def test_it_may_be_read_in_another_thread(self, worker: Worker) -> None:
        @worker.task
        async def work() -> None: ...

        read: list[Event] = []
        note = read.append
        begun = threading.Event()

        async def follow() -> None:
            events = worker.events()
            begun.set()
            async for event in events:
                note(event)

        thread = threading.Thread(target=asyncio.run, args=(follow(),))
        thread.start()
        await asyncio.to_thread(begun.wait, PATIENCE)
        async with worker:
            await (await work.send()).wait(timeout=PATIENCE)
            await eventually(lambda: len(read) == 3)
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()
        assert kinds(read) == ["enqueued", "started", "completed"]

    async def test_a_producer_that_closes_ends_no_reader_of_a_running_worker(
        self, broker: Broker
    ) -> None:
        url = "memory://events-of-a-producer"
        worker = Worker("shop", broker_url=url)

        @worker.task
        async def work() -> None: ...

        async def produce() -> None:
            await work.send()
            await worker.aclose()

        async with worker:
            events = worker.events()
            await asyncio.to_thread(asyncio.run, produce())
            assert [(await anext(events)).kind.value for _ in range(3)] == [
                "enqueued",
                "started",
                "completed",
            ]
        assert await anext(events, None) is None

    @pytest.mark.parametrize("buffer", [0, -1, True])
    def test_a_buffer_that_is_none_is_refused(self, worker: Worker, buffer: int) -> None:
        with pytest.raises(ltq.ConfigurationError, match="buffer"):
            worker.events(buffer)
