"""Running a delivery, and what becomes of one that was cut."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import cast

import msgspec
import pytest

import ltq
from ltq._declared import DeclaredTask
from ltq._worker.executor import Executor
from ltq._worker.protocols import CancelReason, RunStore
from ltq._worker.threads import ThreadCalls
from ltq.message import Delivery, Finish, Lease, Outcome, Requeue
from ltq.state import Status
from tests.worker.doubles import make_delivery, turns

worker = ltq.Worker("mail", "memory://executor")
hung = threading.Event()


@worker.task
async def double(number: int) -> int:
    return 2 * number


@worker.task
async def leave() -> None:
    raise SystemExit(3)


@worker.task
async def give_up() -> None:
    raise asyncio.CancelledError


@worker.task
def add(number: int) -> int:
    return number + 1


@worker.task
def stop() -> None:
    raise StopIteration


@worker.task(max_tries=2)
async def block() -> None:
    time.sleep(0.05)  # noqa: ASYNC251  # the task's own time: it blocks the event loop
    await asyncio.Event().wait()


@worker.task
def hang() -> None:
    hung.wait(10)


class Listener:
    """A run that is being cancelled, or is not."""

    is_cancelled = False
    is_dying = False
    breaker: BaseException | None = None

    def cancels(self, lease: Lease) -> bool:
        return self.is_cancelled

    def loop_breaker(self, lease: Lease) -> BaseException | None:
        return self.breaker

    def dies(self, lease: Lease) -> bool:
        return self.is_dying

    def cancel_reason(self, lease: Lease) -> CancelReason | None:
        return None

    def lease_lost(self, lease: Lease) -> None: ...

    def task_revoked(self, task_id: str) -> None: ...

    async def before_sweep(self, shard: str) -> None: ...


class Stand:
    def __init__(self) -> None:
        self.listener = Listener()
        self.threads = ThreadCalls(2, "ltq-test")
        self.executor = Executor(
            worker.tasks,
            worker.middlewares,
            cast(RunStore, object()),
            threads=self.threads,
            listener=self.listener,
        )

    async def run(self, name: str, *args: object) -> Outcome:
        task: ltq.Task[..., object] | None = worker.tasks.get(f"mail:{name}")
        return await self.executor.run(to(name, b"" if task is None else encode(task, args)))


def encode(task: ltq.Task[..., object], args: tuple[object, ...]) -> bytes:
    return DeclaredTask.of(task).codec.encode_call(args, {})


def to(name: str, body: bytes = b"") -> Delivery:
    return msgspec.structs.replace(make_delivery(task_name=f"mail:{name}"), body=body)


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    yield stand
    stand.threads.close()


class TestRun:
    @pytest.mark.parametrize("name", ["double", "add"])
    async def test_a_result_is_encoded(self, stand: Stand, name: str) -> None:
        outcome = await stand.run(name, 1)
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.result) == (Status.COMPLETED, b"2")

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("leave", "SystemExit"),
            ("give_up", "RuntimeError"),
            ("stop", "RuntimeError"),
        ],
    )
    async def test_what_would_end_the_worker_ends_the_run(
        self, stand: Stand, name: str, error: str
    ) -> None:
        outcome = await stand.run(name)
        assert isinstance(outcome, Finish)
        assert outcome.status is Status.FAILED
        assert outcome.failure is not None
        assert outcome.failure.type == error

    async def test_a_blocked_event_loop_leaves_a_timeout_to_the_middleware(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time for middleware that hangs begins when the task has ended."""
        monkeypatch.setattr("ltq._worker.invoker._GRACE", 0.01)
        delivery = msgspec.structs.replace(
            to("block", encode(worker.tasks["mail:block"], ())), timeout=0.01
        )
        outcome = await stand.executor.run(delivery)
        assert isinstance(outcome, Requeue)
        assert outcome.failed

    async def test_what_cannot_be_decoded_is_rejected(self, stand: Stand) -> None:
        outcome = await stand.executor.run(to("double", b"{"))
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.dead) == (Status.REJECTED, True)

    async def test_an_unknown_task_is_put_back(self, stand: Stand) -> None:
        assert isinstance(await stand.run("nobody"), Requeue)


class TestThreads:
    async def test_one_that_goes_on_is_left_behind(self, stand: Stand) -> None:
        left: list[object] = []

        async def run() -> None:
            try:
                await stand.run("hang")
            finally:
                left.extend([stand.threads.left_behind(), stand.threads.left_behind()])

        hung.clear()
        running = asyncio.create_task(run())
        await turns()
        running.cancel()
        await asyncio.wait([running])
        hung.set()
        assert [thread is None for thread in left] == [False, True]

    async def test_one_that_never_began_is_not(self, stand: Stand) -> None:
        hung.clear()
        running = [asyncio.create_task(stand.run("hang")) for _ in range(3)]
        await turns()
        running[2].cancel()
        await asyncio.wait([running[2]])
        assert stand.threads.left_behind() is None
        hung.set()
        await asyncio.gather(*running[:2])


class TestAbandon:
    def abandon(
        self, stand: Stand, reason: CancelReason | None, error: BaseException
    ) -> Outcome | None:
        return stand.executor.abandon(to("double"), reason, error)

    async def test_at_a_shutdown_it_goes_back_to_the_front(self, stand: Stand) -> None:
        outcome = self.abandon(stand, CancelReason.SHUTDOWN, asyncio.CancelledError())
        assert outcome == Requeue(make_delivery().lease, front=True, is_void=True)

    @pytest.mark.parametrize("reason", [CancelReason.REVOKED, CancelReason.LOST])
    async def test_what_is_not_ours_any_more_is_left_alone(
        self, stand: Stand, reason: CancelReason
    ) -> None:
        assert self.abandon(stand, reason, asyncio.CancelledError()) is None

    async def test_cancelled_together_with_its_worker_it_goes_back(self, stand: Stand) -> None:
        stand.listener.is_cancelled = True
        outcome = self.abandon(stand, None, asyncio.CancelledError())
        assert outcome == Requeue(make_delivery().lease, front=True, is_void=True)

    async def test_cancelled_by_nobody_we_know_it_has_failed(self, stand: Stand) -> None:
        outcome = self.abandon(stand, None, asyncio.CancelledError())
        assert isinstance(outcome, Finish)
        assert outcome.status is Status.FAILED

    async def test_an_error_of_ours_is_a_failure_whatever_ends(self, stand: Stand) -> None:
        stand.listener.is_cancelled = True
        outcome = self.abandon(stand, None, ValueError("a bug"))
        assert isinstance(outcome, Finish)
        assert outcome.status is Status.FAILED
