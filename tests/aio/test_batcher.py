"""Group commit: what shares a call, and what becomes of those who wait for it."""

import asyncio
import sys
from collections.abc import Sequence

import pytest

from ltq._aio.batcher import Batcher


class Flush:
    """A call that takes until it is let through; the answer to an item is ten times the item."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self.let_through = asyncio.Event()
        self.let_through.set()
        self.errors: list[BaseException] = []
        self.under_way = self.most_under_way = 0

    async def __call__(self, items: list[int]) -> Sequence[int]:
        self.calls.append(items)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.begun.put_nowait(None)
        try:
            await self.let_through.wait()
        finally:
            self.under_way -= 1
        if self.errors:
            raise self.errors.pop(0)
        return [10 * item for item in items]


@pytest.fixture
async def flush() -> Flush:
    return Flush()


@pytest.fixture
async def batcher(flush: Flush) -> Batcher[int, int]:
    return Batcher(flush, limit=3)


class TestSharing:
    async def test_items_of_one_turn_share_a_call(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        futures = [batcher.submit(item) for item in (1, 2, 3)]
        assert flush.calls == []
        assert await asyncio.gather(*futures) == [10, 20, 30]
        assert flush.calls == [[1, 2, 3]]

    async def test_what_comes_while_a_call_is_under_way_goes_in_the_next(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        first = batcher.submit(1)
        await flush.begun.get()
        others = [batcher.submit(2), batcher.submit(3)]
        flush.let_through.set()
        assert await asyncio.gather(first, *others) == [10, 20, 30]
        assert flush.calls == [[1], [2, 3]]

    async def test_a_call_has_no_more_items_than_its_limit(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        futures = [batcher.submit(item) for item in range(7)]
        assert await asyncio.gather(*futures) == [0, 10, 20, 30, 40, 50, 60]
        assert flush.calls == [[0, 1, 2], [3, 4, 5], [6]]

    async def test_there_is_one_call_at_a_time(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        async def submit(item: int) -> int:
            await batcher.submit(item)
            return await batcher.submit(item)

        assert await asyncio.gather(*map(submit, range(20))) == [10 * item for item in range(20)]
        assert flush.most_under_way == 1

    async def test_after_a_pause_it_goes_on(self, batcher: Batcher[int, int], flush: Flush) -> None:
        assert await batcher.submit(1) == 10
        assert await batcher.drain()
        assert await batcher.submit(2) == 20
        assert flush.calls == [[1], [2]]


class TestErrors:
    async def test_an_error_is_given_to_each_item_of_its_call(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.errors = [OSError("away")]
        futures = [batcher.submit(item) for item in (1, 2)]
        for future in futures:
            with pytest.raises(OSError, match="away"):
                await future

    async def test_the_next_call_starts_afresh(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.errors = [OSError("away")]
        futures = [batcher.submit(item) for item in range(5)]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert [isinstance(answer, OSError) for answer in answers[:3]] == [True] * 3
        assert answers[3:] == [30, 40]
        assert await batcher.submit(5) == 50

    async def test_too_few_answers_leave_nobody_waiting(self) -> None:
        async def flush(items: list[int]) -> list[int]:
            return items[:-1]

        batcher = Batcher(flush, limit=3)
        futures = [batcher.submit(1), batcher.submit(2)]
        assert await batcher.drain(timeout=5)
        assert all(isinstance(future.exception(), ValueError) for future in futures)

    async def test_a_lasting_error_is_given_to_those_of_the_next_call_too(
        self, flush: Flush
    ) -> None:
        batcher = Batcher(flush, 1, is_lasting=lambda error: isinstance(error, OSError))
        flush.errors += [OSError("away"), ValueError("a bug")]
        lasting = [batcher.submit(item) for item in (1, 2)]
        answers = await asyncio.gather(*lasting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [OSError, OSError]
        passing = [batcher.submit(item) for item in (3, 4)]
        answers = await asyncio.gather(*passing, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, int]
        assert flush.calls == [[1], [3], [4]]


class TestCancelled:
    async def test_one_that_does_not_wait_any_more_disturbs_nobody(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        gone, stays = batcher.submit(1), batcher.submit(2)
        await flush.begun.get()
        gone.cancel()
        flush.let_through.set()
        assert await stays == 20
        assert await batcher.submit(3) == 30

    async def test_one_that_left_before_the_call_disturbs_nobody(
        self, batcher: Batcher[int, int]
    ) -> None:
        gone, stays = batcher.submit(1), batcher.submit(2)
        gone.cancel()
        assert await stays == 20

    async def test_one_that_left_is_not_told_of_an_error(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.errors = [OSError("away")]
        gone, stays = batcher.submit(1), batcher.submit(2)
        gone.cancel()
        with pytest.raises(OSError, match="away"):
            await stays
        assert gone.cancelled()

    async def test_all_who_wait_are_cancelled_with_the_call(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.errors = [asyncio.CancelledError()]
        futures = [batcher.submit(item) for item in range(5)]
        assert await batcher.drain()
        assert all(future.cancelled() for future in futures)

    def test_nobody_is_left_waiting_when_the_loop_ends(self) -> None:
        futures: list[asyncio.Future[int]] = []

        async def main() -> None:
            flush = Flush()
            flush.let_through.clear()
            batcher = Batcher(flush, limit=2)
            futures.extend(batcher.submit(item) for item in range(5))
            await flush.begun.get()

        asyncio.run(main())
        assert all(future.cancelled() for future in futures)


class TestDrain:
    async def test_with_nothing_to_do_it_is_done(self, batcher: Batcher[int, int]) -> None:
        assert batcher.pending == 0
        assert await batcher.drain()
        assert await batcher.drain(timeout=0)

    async def test_it_waits_for_every_answer(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        futures = [batcher.submit(item) for item in range(7)]
        assert await batcher.drain()
        assert all(future.done() for future in futures)
        assert len(flush.calls) == 3

    async def test_it_waits_for_what_comes_meanwhile(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        batcher.submit(1)
        await flush.begun.get()
        draining = asyncio.create_task(batcher.drain(timeout=5))
        late = batcher.submit(2)
        flush.let_through.set()
        assert await draining
        assert late.result() == 20

    async def test_it_says_that_it_could_not_wait_so_long(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        future = batcher.submit(1)
        assert not await batcher.drain(timeout=0.01)
        flush.let_through.set()
        assert await future == 10

    async def test_an_error_is_an_answer(self, batcher: Batcher[int, int], flush: Flush) -> None:
        flush.errors = [OSError("away")]
        future = batcher.submit(1)
        assert await batcher.drain()
        assert isinstance(future.exception(), OSError)

    async def test_all_without_an_answer_are_pending(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        futures = [batcher.submit(item) for item in range(5)]
        assert batcher.pending == 5
        await flush.begun.get()
        assert batcher.pending == 5
        flush.let_through.set()
        await asyncio.gather(*futures)
        assert await batcher.drain()
        assert batcher.pending == 0


class TestCall:
    async def test_a_lonely_one_goes_at_once(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        assert await batcher.call(1) == 10
        assert flush.calls == [[1]]

    async def test_what_comes_meanwhile_goes_in_the_next(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        calls = [asyncio.create_task(batcher.call(number)) for number in (1, 2, 3)]
        await flush.begun.get()
        assert batcher.pending == 3
        flush.let_through.set()
        assert await asyncio.gather(*calls) == [10, 20, 30]
        assert flush.calls == [[1], [2, 3]]
        assert batcher.pending == 0

    async def test_one_that_is_cancelled_leaves_the_others_their_call(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        first, other = (asyncio.create_task(batcher.call(number)) for number in (1, 2))
        await flush.begun.get()
        first.cancel()
        flush.let_through.set()
        assert await other == 20
        assert first.cancelled()

    async def test_a_lasting_error_is_given_to_all_who_wait(self, flush: Flush) -> None:
        batcher = Batcher(flush, 10, is_lasting=lambda error: isinstance(error, OSError))
        flush.errors.append(OSError("away"))
        flush.let_through.clear()
        calls = [asyncio.create_task(batcher.call(number)) for number in range(3)]
        await flush.begun.get()
        flush.let_through.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} == {OSError}
        assert (len(flush.calls), batcher.pending) == (1, 0)


class TestClose:
    async def test_what_has_no_answer_is_cancelled(
        self, batcher: Batcher[int, int], flush: Flush
    ) -> None:
        flush.let_through.clear()
        futures = [batcher.submit(item) for item in range(5)]
        await flush.begun.get()
        await batcher.aclose()
        await batcher.aclose()
        assert all(future.cancelled() for future in futures)
        assert (batcher.pending, batcher.is_running) == (0, False)

    async def test_also_before_the_first_call(self, batcher: Batcher[int, int]) -> None:
        future = batcher.submit(1)
        await batcher.aclose()
        assert future.cancelled()
        assert batcher.pending == 0

    async def test_it_may_be_used_again(self, batcher: Batcher[int, int]) -> None:
        await batcher.aclose()
        assert await batcher.submit(1) == 10
        assert await batcher.call(2) == 20


if sys.version_info >= (3, 12):  # eager tasks came with it

    async def test_eager_tasks_do_not_stop_it() -> None:
        async def flush(items: list[int]) -> list[int]:
            return items

        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        batcher = Batcher(flush, limit=3)
        assert [await batcher.submit(number) for number in range(3)] == [0, 1, 2]
        assert await batcher.drain(5)
