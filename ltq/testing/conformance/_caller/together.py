"""Waiting for many tasks at once: `gather` and `as_completed`."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import ltq
from ltq import Handle, Worker
from ltq.broker import Broker
from ltq.broker.feed import Feed
from ltq.testing.conformance._support.eventually import PATIENCE, eventually


class CountsFeeds:
    """Tests that count the open feeds."""

    @pytest.fixture
    def feeds(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> set[Feed]:
        opened: set[Feed] = set()
        follow, close = broker.feed, Feed.close

        def feed(queue: str, task_id: str) -> Feed:
            opened.add(made := follow(queue, task_id))
            return made

        def closed(feed: Feed) -> None:
            opened.discard(feed)
            close(feed)

        monkeypatch.setattr(broker, "feed", feed)
        monkeypatch.setattr(Feed, "close", closed)
        return opened


async def send_two(worker: Worker) -> tuple[Handle[int], Handle[str]]:
    """A task that succeeds once a worker runs, and one that fails."""

    @worker.task
    async def double(number: int) -> int:
        return 2 * number

    @worker.task
    async def fail(text: str) -> str:
        raise ValueError(text)

    return await double.send(1), await fail.send("no")


async def send_waiting(worker: Worker, many: int) -> list[Handle[int]]:
    """Tasks that no worker runs."""

    @worker.task
    async def never(number: int) -> int:
        return number

    return await never.send_many([never.message(number) for number in range(many)])


async def collect(handles: list[Handle[int]]) -> list[int]:
    return [await handle.result() async for handle in ltq.as_completed(handles)]


async def collect_awaitables(handles: list[Handle[int]]) -> list[int]:
    return [await coming for coming in ltq.as_completed(handles)]


class TestGather(CountsFeeds):
    async def test_results_come_in_the_order_given(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        handles = await double.send_many([double.message(number) for number in range(50)])
        async with worker:
            results = await ltq.gather(*reversed(handles), timeout=10)
        assert results == tuple(2 * number for number in reversed(range(50)))

    async def test_nothing_is_waited_for_at_once(self) -> None:
        assert await ltq.gather() == ()
        assert await ltq.gather(return_exceptions=True) == ()

    async def test_the_first_failure_is_raised_and_the_rest_goes_on(
        self, worker: Worker, feeds: set[Feed]
    ) -> None:
        waiting = await send_waiting(Worker("other", broker=worker.broker), 3)
        number, text = await send_two(worker)
        async with worker:
            with pytest.raises(ltq.TaskFailedError, match="ValueError: no"):
                await asyncio.wait_for(ltq.gather(*waiting, number, text), PATIENCE)
        assert not feeds
        assert (await waiting[0].state()).status is ltq.Status.PENDING

    async def test_errors_stand_in_their_place_where_asked_for(self, worker: Worker) -> None:
        number, text = await send_two(worker)
        nobody: Handle[int] = worker.tasks["shop:double"].handle("nobody")
        async with worker:
            two, failed, missing = await ltq.gather(number, text, nobody, return_exceptions=True)
        assert two == 2
        assert isinstance(failed, ltq.TaskFailedError)
        assert isinstance(missing, ltq.TaskNotFoundError)

    async def test_a_timeout_is_one_for_all(self, worker: Worker, feeds: set[Feed]) -> None:
        handles = await send_waiting(worker, 5)
        with pytest.raises(ltq.ResultTimeoutError):
            await asyncio.wait_for(ltq.gather(*handles, timeout=0.02), PATIENCE)
        ended = await ltq.gather(*handles, timeout=0.02, return_exceptions=True)
        assert [type(one) for one in ended] == [ltq.ResultTimeoutError] * 5
        assert not feeds

    async def test_the_same_handle_twice_is_two_results(self, worker: Worker) -> None:
        number, _ = await send_two(worker)
        async with worker:
            assert await ltq.gather(number, number, timeout=10) == (2, 2)


class TestAsCompleted(CountsFeeds):
    async def test_it_gives_those_first_that_end_first(self, worker: Worker) -> None:
        gates = [asyncio.Event() for _ in range(3)]

        @worker.task
        async def wait(number: int) -> int:
            await gates[number].wait()
            return number

        handles = [await wait.send(number) for number in range(3)]
        order = [2, 0, 1]
        seen = []
        async with worker:
            gates[order[0]].set()
            async for handle in ltq.as_completed(handles):
                seen.append(await handle.result())
                if len(seen) < 3:
                    gates[order[len(seen)]].set()
        assert seen == order

    async def test_a_plain_for_gives_awaitables(self, worker: Worker) -> None:
        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        handles = [await double.send(number) for number in range(5)]
        async with worker:
            results = [await coming for coming in ltq.as_completed(handles, timeout=10)]
        assert sorted(results) == [0, 2, 4, 6, 8]

    async def test_a_failure_is_told_by_its_handle(self, worker: Worker) -> None:
        handles = list[Handle[object]](await send_two(worker))
        seen = {}
        async with worker:
            async for handle in ltq.as_completed(handles):
                try:
                    seen[handle.task_name] = await handle.result()
                except ltq.TaskFailedError as error:
                    seen[handle.task_name] = error.message
        assert seen == {"shop:double": 2, "shop:fail": "no"}

    async def test_a_timeout_is_raised_after_those_that_ended(
        self, worker: Worker, feeds: set[Feed]
    ) -> None:
        waiting = await send_waiting(Worker("other", broker=worker.broker), 3)
        number, _ = await send_two(worker)
        seen: list[Handle[int]] = []
        async with worker:
            await number.wait(timeout=PATIENCE)
            ending = aiter(ltq.as_completed([*waiting, number], timeout=0.1))
            seen.append(await anext(ending))
            with pytest.raises(ltq.ResultTimeoutError):
                await anext(ending)
            coming = next(iter(ltq.as_completed(waiting, timeout=0.02)))
            with pytest.raises(ltq.ResultTimeoutError):
                await coming
        assert seen == [number]
        await eventually(lambda: not feeds)

    async def test_one_left_early_gives_up_the_rest(self, worker: Worker, feeds: set[Feed]) -> None:
        waiting = await send_waiting(Worker("other", broker=worker.broker), 5)
        handles = await send_two(worker)
        async with worker:
            for handle in handles:
                await handle.wait(timeout=PATIENCE)
            async for _ in ltq.as_completed([*waiting, *handles]):
                break
        await eventually(lambda: not feeds)


class TestGiveUp(CountsFeeds):
    @pytest.mark.parametrize(
        "wait",
        [
            lambda handles: ltq.gather(*handles),
            lambda handles: ltq.gather(*handles, return_exceptions=True),
            collect,
            collect_awaitables,
        ],
        ids=["gather", "gather with exceptions", "as_completed", "its awaitables"],
    )
    async def test_who_gives_up_leaves_nothing_behind(
        self,
        worker: Worker,
        feeds: set[Feed],
        wait: Callable[[list[Handle[int]]], Awaitable[object]],
    ) -> None:
        handles = await send_waiting(worker, 20)
        waiting = asyncio.ensure_future(wait(handles))
        await eventually(lambda: len(feeds) == 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: not feeds)

    def test_errors_that_nobody_asked_for_are_not_logged(
        self,
        make_broker: Callable[[], Broker],
        feeds: set[Feed],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        kept: list[object] = []

        async def give_up() -> None:
            async with make_broker() as broker:
                waiting = await send_waiting(Worker("other", broker=broker), 3)
                results = iter(ltq.as_completed(waiting, timeout=0.02))
                kept.append(results)
                with pytest.raises(ltq.ResultTimeoutError):
                    await next(results)
                await eventually(lambda: not feeds)

        asyncio.run(give_up())
        kept.clear()
        gc.collect()
        assert "never retrieved" not in caplog.text


class TestTogetherMistakes(CountsFeeds):
    async def test_what_is_no_handle_is_told_before_anything_is_waited_for(
        self, worker: Worker, feeds: set[Feed]
    ) -> None:
        waiting: Any = await send_waiting(worker, 1)
        before = asyncio.all_tasks()
        with pytest.raises(ltq.InvalidArgumentsError, match=r"gather\(\*handles\).*not list"):
            await ltq.gather(waiting[0], waiting)
        with pytest.raises(ltq.InvalidArgumentsError, match="not str"):
            ltq.as_completed([*waiting, str(waiting)])  # type: ignore[list-item]  # refused
        assert (asyncio.all_tasks(), feeds) == (before, set())

    def test_without_an_event_loop_there_is_no_second_error(
        self, worker: Worker, recwarn: pytest.WarningsRecorder
    ) -> None:
        @worker.task
        async def never() -> None: ...

        with pytest.raises(RuntimeError, match="no running event loop"):
            list(ltq.as_completed([never.handle("a")]))
        gc.collect()
        assert list(recwarn) == []
