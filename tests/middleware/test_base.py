"""What every middleware is, and which ones a worker has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.middleware import MaxAge, MaxRate, MaxTries, Middleware, default_stack
from ltq.task import Task
from ltq.worker import Worker


class Nothing(Middleware):
    @asynccontextmanager
    async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
        yield


def make_worker(middlewares: list[Middleware] | None = None) -> Worker:
    return Worker("shop", broker_url="memory://middleware", middlewares=middlewares)


async def entered(options: frozenset[str]) -> list[str]:
    """The tasks for which a middleware with these options is entered."""
    seen: list[str] = []

    class Sees(Nothing):
        @asynccontextmanager
        async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
            seen.append(task.name)
            yield

    Sees.options = options
    worker = make_worker([Sees()])

    @worker.task
    async def free() -> None: ...

    @worker.task(max_age=60, max_rate="1000/s")
    async def limited() -> None: ...

    if not options:
        worker.register_middleware(MaxAge())
        worker.register_middleware(MaxRate())
    await free.send()
    await limited.send()
    await worker.run(burst=True)
    return sorted(seen)


class TestMiddleware:
    def test_it_is_a_callable_to_be_written(self) -> None:
        with pytest.raises(TypeError, match="abstract"):
            Middleware()  # type: ignore[abstract]

    async def test_one_of_the_users_is_entered_for_every_task(self) -> None:
        assert await entered(frozenset()) == ["shop:free", "shop:limited"]

    async def test_one_with_options_is_entered_for_tasks_that_declare_one(self) -> None:
        assert await entered(frozenset({"max_age", "max_rate"})) == ["shop:limited"]

    async def test_it_sees_that_a_task_was_put_back(self) -> None:
        seen: list[tuple[int, int]] = []
        begun = asyncio.Event()

        class Sees(Nothing):
            @asynccontextmanager
            async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
                seen.append((message.dequeue_count, message.tries))
                yield

        worker = make_worker([MaxTries(), Sees()])
        worker.shutdown_timeout = 0

        @worker.task(max_tries=3, backoff=0)
        async def pay() -> None:
            begun.set()
            if len(seen) == 2:
                await asyncio.Event().wait()
            raise ValueError("no such card")

        handle = await pay.send()
        async with worker, asyncio.timeout(10):
            while len(seen) < 2:
                begun.clear()
                await begun.wait()
        await worker.run(burst=True)
        assert (await handle.state()).status == "failed"
        assert seen == [(1, 0), (2, 1), (3, 1), (4, 2)]


class TestErrors:
    @pytest.mark.parametrize(("pos", "runs"), [(0, 1), (-1, 3)], ids=["before", "after"])
    @pytest.mark.parametrize("late", [False, True])
    async def test_one_before_max_tries_is_final_and_one_after_it_uses_up_a_try(
        self, *, pos: int, runs: int, late: bool
    ) -> None:
        seen: list[str] = []

        class Fails(Middleware):
            @asynccontextmanager
            async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
                seen.append(message.id)
                if not late:
                    raise ValueError("a bug")
                yield
                raise ValueError("a bug")

        worker = make_worker()
        worker.register_middleware(Fails(), pos)

        @worker.task(max_tries=3, backoff=0)
        async def pay() -> None: ...

        handle = await pay.send()
        await worker.run(burst=True)
        state = await handle.state()
        assert (state.status, state.error, len(seen)) == ("failed", "ValueError: a bug", runs)


class TestStack:
    def test_a_worker_that_names_none_has_the_default_one(self) -> None:
        kinds = [MaxTries, MaxAge, MaxRate]
        assert [type(one) for one in make_worker().middlewares] == kinds
        assert [type(one) for one in default_stack()] == kinds

    def test_no_two_workers_share_it(self) -> None:
        first, second = make_worker(), make_worker()
        first.register_middleware(Nothing())
        assert len(second.middlewares) == 3

    def test_a_list_given_replaces_it_and_is_copied(self) -> None:
        given: list[Middleware] = [Nothing()]
        worker = make_worker(given)
        worker.register_middleware(MaxAge())
        assert [type(one) for one in worker.middlewares] == [Nothing, MaxAge]
        assert len(given) == 1

    def test_an_empty_list_is_no_middleware(self) -> None:
        assert make_worker([]).middlewares == []

    @pytest.mark.parametrize(
        ("pos", "place"), [(-1, 3), (0, 0), (1, 1), (3, 3), (99, 3), (-2, 1)], ids=str
    )
    def test_one_more_goes_to_the_end_or_before_another(self, pos: int, place: int) -> None:
        worker, added = make_worker(), Nothing()
        worker.register_middleware(added, pos)
        assert worker.middlewares.index(added) == place


class TestMissing:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("max_tries", 3),
            ("backoff", 1.0),
            ("retry_on", OSError),
            ("max_age", 30),
            ("max_rate", "1/s"),
        ],
    )
    async def test_an_option_nobody_implements_is_an_error_at_the_start(
        self, option: str, value: Any
    ) -> None:
        worker = make_worker([Nothing()])

        @worker.task(**{option: value})
        async def pay() -> None: ...

        with pytest.raises(ConfigurationError, match=f"'shop:pay' declares {option}, but no"):
            await worker.run(burst=True)
        with pytest.raises(ConfigurationError, match=option):
            async with worker:
                pass

    async def test_one_that_the_executor_holds_needs_none(self) -> None:
        worker = make_worker([])

        @worker.task(timeout=5, result_ttl=5, priority="low", max_pending=5, max_deliveries=2)
        async def pay() -> None: ...

        await worker.run(burst=True)
