"""What runs in a worker: slots, cancelling, threads that outlive their runs, isolation."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import Context, ContextVar

import msgspec
import pytest

from ltq._worker.protocols import CancelReason
from ltq._worker.task_pool import TaskPool
from ltq._worker.threads import ThreadCalls
from ltq.events import Event, EventStream
from ltq.message import Delivery, Finish, Lease, Outcome, Requeue
from ltq.state import Status
from tests.worker.doubles import Leases, Writer, make_delivery, make_lease, soon, turns

RETRY = Requeue(make_lease(1), failed=True)
BACK = Requeue(make_lease(1), front=True, is_void=True)

resource: ContextVar[str] = ContextVar("resource", default="none")


class Runner:
    """Lets each delivery run until the test lets it end, fail or retry."""

    def __init__(self, threads: ThreadCalls) -> None:
        self.threads = threads
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.outcome: Callable[[Lease], Outcome] = lambda lease: Finish(lease, Status.COMPLETED)
        self.error: BaseException | None = None
        self.swallows = False
        self.seen: list[str] = []
        self.abandoned: list[tuple[CancelReason | None, type[BaseException]]] = []
        self.thread: threading.Event | None = None
        """Where given, the run is a thread's until this is set."""

    async def run(self, delivery: Delivery) -> Outcome:
        self.seen.append(resource.get())
        self.begun.set()
        try:
            if self.thread is not None:
                await self.threads.call(self.thread.wait, (10,), {})
            else:
                await self.end.wait()
        except asyncio.CancelledError:
            if not self.swallows:
                raise
        if self.error is not None:
            raise self.error
        return self.outcome(delivery.lease)

    def timeout_of(self, delivery: Delivery) -> float | None:
        return delivery.timeout

    def put_back(self, delivery: Delivery, variables: Context) -> Requeue:
        return Requeue(delivery.lease, front=True, is_void=True)

    def abandon(
        self, delivery: Delivery, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        self.abandoned.append((reason, type(error)))
        if reason in (CancelReason.REVOKED, CancelReason.LOST):
            return None
        return BACK


class Stand:
    """A pool of three slots, and what surrounds it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.threads = ThreadCalls(3, "ltq-test")
        self.runner = Runner(self.threads)
        self.writer = Writer()
        self.leases = Leases()
        self.events = EventStream("mail", clock=lambda: self.now)
        self.pool = TaskPool(
            3,
            runner=self.runner,
            writer=self.writer,
            leases=self.leases,
            threads=self.threads,
            events=self.events,
            clock=lambda: self.now,
        )

    async def start(self, *numbers: int) -> None:
        for number in numbers or (1,):
            self.pool.start(make_delivery(number))
        await soon(self.runner.begun)
        await turns()

    async def outlive(self, outcome: Outcome) -> threading.Event:
        """Start one in a thread, and cut its run off as a timeout would."""
        self.runner.thread = until = threading.Event()
        self.runner.swallows = True
        self.runner.outcome = lambda _: outcome
        await self.start(1)
        (task,) = (task for task in asyncio.all_tasks() if self.pool.delivery_of(task))
        task.cancel()
        await asyncio.wait([task])
        return until


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    yield stand
    stand.threads.close()


class TestRuns:
    async def test_an_outcome_goes_to_the_writer_and_the_slot_is_free(self, stand: Stand) -> None:
        await stand.start(1, 2)
        assert (stand.pool.free, stand.pool.used, stand.writer.ids) == (1, 2, [])
        stand.runner.end.set()
        assert await stand.pool.drain(5)
        assert (stand.pool.free, stand.pool.used, stand.pool.ended) == (3, 0, 2)
        assert stand.writer.ids == ["1", "2"]
        assert stand.leases.held == [make_lease(1), make_lease(2)]
        assert stand.leases.released == []

    async def test_tasks_see_the_variables_of_where_the_pool_was_made(self) -> None:
        token = resource.set("database")
        stand = Stand()
        resource.reset(token)
        await stand.start(1, 2)
        assert stand.runner.seen == ["database", "database"]
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        await stand.pool.drain(5)

    async def test_a_failure_of_the_runner_itself_is_logged_and_judged(
        self, stand: Stand, caplog: pytest.LogCaptureFixture
    ) -> None:
        stand.runner.error = ValueError("a bug")
        stand.runner.end.set()
        await stand.start()
        assert await stand.pool.drain(5)
        assert stand.runner.abandoned == [(None, ValueError)]
        assert stand.writer.ids == ["1"]
        assert "running it failed unexpectedly" in caplog.text

    @pytest.mark.parametrize(
        "error",
        [
            KeyboardInterrupt(),
            SystemExit(),
            GeneratorExit(),
            BaseExceptionGroup("", [SystemExit()]),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_whatever_it_raises_ends_the_run_and_nothing_else(
        self, stand: Stand, error: BaseException
    ) -> None:
        stand.runner.error = error
        stand.runner.end.set()
        await stand.start()
        assert await stand.pool.drain(5)
        assert stand.runner.abandoned == [(None, type(error))]
        assert stand.pool.free == 3

    async def test_so_is_one_whose_error_cannot_be_read(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(stand.runner, "abandon", fail)
        stand.runner.error = ValueError()
        stand.runner.end.set()
        await stand.start()
        assert await stand.pool.drain(5)
        (outcome,) = stand.writer.outcomes
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.dead) == (Status.FAILED, True)
        assert stand.pool.free == 3

    async def test_what_stands_still_with_the_loop_is_told_with_deadlines(
        self, stand: Stand
    ) -> None:
        stand.now = 7.0
        limited = msgspec.structs.replace(make_delivery(1), timeout=2.0)
        stand.pool.start(limited)
        await stand.start(2)
        await turns()
        assert stand.pool.stalled() == {make_lease(1): 9.0, make_lease(2): None}
        stand.runner.end.set()
        assert await stand.pool.drain(5)

    async def test_what_runs_in_a_thread_does_not(self, stand: Stand) -> None:
        stand.runner.thread = threading.Event()
        await stand.start(1)
        await turns()
        assert stand.pool.stalled() == {}
        stand.runner.thread.set()
        assert await stand.pool.drain(5)

    async def test_who_runs_in_an_asyncio_task_is_known(self, stand: Stand) -> None:
        await stand.start(1, 2)
        found = [stand.pool.delivery_of(task) for task in asyncio.all_tasks()]
        assert {delivery.lease.id for delivery in found if delivery} == {"1", "2"}
        assert stand.pool.delivery_of(None) is None
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        await stand.pool.drain(5)


class TestCancel:
    @pytest.mark.parametrize(
        ("reason", "written"),
        [
            (CancelReason.SHUTDOWN, ["1"]),
            (CancelReason.REVOKED, []),
            (CancelReason.LOST, []),
        ],
    )
    async def test_only_a_shutdown_leaves_something_to_write(
        self, stand: Stand, reason: CancelReason, written: list[str]
    ) -> None:
        await stand.start()
        assert stand.pool.cancel(make_lease(1), reason)
        assert await stand.pool.drain(5)
        assert stand.writer.ids == written
        assert stand.leases.released == ([] if written else [make_lease(1)])
        assert stand.runner.abandoned == [(reason, asyncio.CancelledError)]

    async def test_what_a_run_returns_all_the_same_counts_only_if_it_is_still_ours(
        self, stand: Stand
    ) -> None:
        stand.runner.swallows = True
        await stand.start(1, 2)
        stand.pool.cancel(make_lease(1), CancelReason.REVOKED)
        stand.pool.cancel(make_lease(2), CancelReason.SHUTDOWN)
        assert await stand.pool.drain(5)
        assert stand.writer.outcomes == [Finish(make_lease(2), Status.COMPLETED)]

    async def test_the_first_reason_counts(self, stand: Stand) -> None:
        await stand.start()
        assert stand.pool.cancel(make_lease(1), CancelReason.REVOKED)
        assert stand.pool.cancel(make_lease(1), CancelReason.SHUTDOWN)
        assert await stand.pool.drain(5)
        assert [reason for reason, _ in stand.runner.abandoned] == [CancelReason.REVOKED]

    async def test_one_that_never_began_is_ended_as_well(self, stand: Stand) -> None:
        stand.pool.start(make_delivery(1))
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        assert (stand.pool.used, stand.writer.ids) == (0, ["1"])
        await turns()
        assert stand.runner.seen == []

    async def test_by_id_it_finds_every_run_of_a_task(self, stand: Stand) -> None:
        await stand.start(1, 2)
        stand.pool.cancel_id("2", CancelReason.REVOKED)
        await turns()
        assert [delivery.lease.id for delivery in stand.pool.running()] == ["1"]
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        await stand.pool.drain(5)

    async def test_what_does_not_run_here_is_not_cancelled(self, stand: Stand) -> None:
        assert not stand.pool.cancel(make_lease(7), CancelReason.LOST)

    async def test_a_drain_says_that_something_does_not_end(self, stand: Stand) -> None:
        await stand.start()
        assert not await stand.pool.drain(0.0)
        stand.runner.end.set()
        assert await stand.pool.drain(5)


class TestStopped:
    async def test_what_comes_then_goes_back_at_once(self, stand: Stand) -> None:
        told: list[Event] = []
        stand.events.subscribe(told.append)
        stand.pool.stop()
        stand.pool.start(make_delivery(1))
        assert stand.writer.outcomes == [BACK]
        assert (stand.leases.held, stand.pool.used) == ([make_lease(1)], 0)
        assert [event.kind.value for event in told] == ["requeued"]

    async def test_what_runs_goes_on(self, stand: Stand) -> None:
        await stand.start()
        stand.pool.stop()
        stand.runner.end.set()
        assert await stand.pool.drain(5)
        assert stand.writer.outcomes == [Finish(make_lease(1), Status.COMPLETED)]


class TestEvents:
    @pytest.mark.parametrize(
        ("reason", "kind"),
        [
            (None, "completed"),
            (CancelReason.SHUTDOWN, "requeued"),
            (CancelReason.REVOKED, "cancelled"),
            (CancelReason.LOST, "lost"),
        ],
    )
    async def test_each_run_begins_and_ends(
        self, stand: Stand, reason: CancelReason | None, kind: str
    ) -> None:
        told: list[Event] = []
        stand.events.subscribe(told.append)
        stand.now = 100.0
        await stand.start()
        stand.now = 102.5
        if reason is None:
            stand.runner.end.set()
        else:
            stand.pool.cancel(make_lease(1), reason)
        assert await stand.pool.drain(5)
        assert [(event.kind.value, event.time) for event in told] == [
            ("started", 100.0),
            (kind, 102.5),
        ]
        assert told[-1].duration == 2.5

    async def test_listeners_and_log_handlers_that_raise_keep_no_slot(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(logging.getLogger("ltq.events"), "handle", fail)
        stand.events.subscribe(fail)
        stand.runner.end.set()
        await stand.start()
        assert await stand.pool.drain(5)
        assert stand.pool.free == 3
        assert stand.writer.outcomes == [Finish(make_lease(1), Status.COMPLETED)]

    async def test_the_duration_is_unknown_where_the_beginning_was_not_heard(
        self, stand: Stand
    ) -> None:
        told: list[Event] = []
        await stand.start()
        stand.events.subscribe(told.append)
        stand.runner.end.set()
        assert await stand.pool.drain(5)
        assert [event.duration for event in told] == [None]


class TestLeftoverThreads:
    async def test_a_retry_waits_for_the_end_of_the_thread(self, stand: Stand) -> None:
        until = await stand.outlive(RETRY)
        assert (stand.pool.free, stand.pool.used, stand.writer.ids) == (2, 1, [])
        assert not await stand.pool.drain(0.0)
        assert await stand.pool.drain(0.0, with_threads=False)
        until.set()
        assert await stand.pool.drain(5)
        assert stand.writer.outcomes == [RETRY]
        assert (stand.pool.free, stand.pool.used) == (3, 0)

    async def test_any_other_outcome_does_not(self, stand: Stand) -> None:
        until = await stand.outlive(Finish(make_lease(1), Status.FAILED))
        assert stand.writer.outcomes == [Finish(make_lease(1), Status.FAILED)]
        assert (stand.pool.free, stand.pool.used) == (2, 0)
        until.set()
        assert await stand.pool.drain(5)
        assert (stand.pool.free, stand.writer.ids) == (3, ["1"])

    @pytest.mark.parametrize(
        ("reason", "written"),
        [
            (CancelReason.SHUTDOWN, ["1"]),
            (CancelReason.REVOKED, []),
            (CancelReason.LOST, []),
        ],
    )
    async def test_a_cancellation_settles_the_retry_and_the_thread_keeps_its_slot(
        self, stand: Stand, reason: CancelReason, written: list[str]
    ) -> None:
        until = await stand.outlive(RETRY)
        assert stand.pool.cancel(make_lease(1), reason)
        assert not stand.pool.cancel(make_lease(1), reason)
        assert stand.writer.ids == written
        assert stand.leases.released == ([] if written else [make_lease(1)])
        assert (stand.pool.free, stand.pool.used) == (2, 0)
        until.set()
        assert await stand.pool.drain(5)
        assert (stand.pool.free, stand.writer.ids) == (3, written)

    async def test_by_id_as_well(self, stand: Stand) -> None:
        until = await stand.outlive(RETRY)
        stand.pool.cancel_id("1", CancelReason.REVOKED)
        assert stand.leases.released == [make_lease(1)]
        until.set()
        assert await stand.pool.drain(5)

    async def test_a_run_cancelled_by_the_worker_is_settled_at_once(self, stand: Stand) -> None:
        stand.runner.thread = until = threading.Event()
        await stand.start()
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        assert await stand.pool.drain(5, with_threads=False)
        assert stand.writer.outcomes == [BACK]
        assert stand.pool.free == 2
        until.set()
        assert await stand.pool.drain(5)


class TestIsolation:
    async def test_few_run_beside_one_that_needs_it(self, stand: Stand) -> None:
        stand.pool.start(make_delivery(1, isolation=2))
        assert stand.pool.free == 1
        stand.pool.start(make_delivery(2, isolation=1))
        assert stand.pool.free == 0
        await soon(stand.runner.begun)
        stand.runner.end.set()
        assert await stand.pool.drain(5)
        assert stand.pool.free == 3

    async def test_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ltq._worker.isolation.ISOLATION", 0.0)
        stand = Stand()
        stand.pool.start(make_delivery(1, isolation=1))
        assert stand.pool.free == 0
        await asyncio.wait_for(stand.pool.wait_changed(), 5)
        assert stand.pool.free == 2
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        await stand.pool.drain(5)

    async def test_it_lasts_as_long_as_its_thread(self, stand: Stand) -> None:
        stand.runner.thread = until = threading.Event()
        stand.pool.start(make_delivery(1, isolation=2))
        await soon(stand.runner.begun)
        stand.pool.cancel_all(CancelReason.SHUTDOWN)
        assert await stand.pool.drain(5, with_threads=False)
        assert stand.pool.free == 1
        until.set()
        assert await stand.pool.drain(5)
        assert stand.pool.free == 3


async def test_waiting_for_a_change_has_an_end(stand: Stand) -> None:
    await asyncio.wait_for(stand.pool.wait_changed(0.0), 5)
