"""Tasks below decorators, and parameters of all names. Read by type checkers, never run.

A task gives what awaiting its function gives, whatever a decorator says of how it is awaited.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, assert_type

from declared import Repo, fetch, use, worker

import ltq
from ltq import Handle, Message, SyncHandle, testing

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


def awaitable(fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    return fn


def coroutine(fn: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    return fn


def plain(fn: Callable[P, R]) -> Callable[P, R]:
    return fn


def spawned(fn: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, "asyncio.Task[R]"]:
    @functools.wraps(fn)
    def inner(*args: P.args, **kwargs: P.kwargs) -> "asyncio.Task[R]":
        return asyncio.create_task(fn(*args, **kwargs))

    return inner


def alone(fn: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        return asyncio.run(fn(*args, **kwargs))

    return inner


def retry(times: int) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    use(times)
    return awaitable


def connected(
    fn: Callable[Concatenate[bytes, P], Awaitable[R]],
) -> Callable[P, Awaitable[R]]:
    def inner(*args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return fn(b"connection", *args, **kwargs)

    return inner


class Cached(Protocol[P, R_co]):
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R_co]: ...

    def clear(self) -> None: ...


def cached(fn: Callable[P, Awaitable[R]]) -> Cached[P, R]:
    raise NotImplementedError


class Resize:
    async def __call__(self, image: str, *, width: int = 1) -> Repo:
        return Repo(image, width)


@worker.task
@awaitable
async def bare(x: int) -> str:
    return str(x)


@worker.task(max_tries=2)
@awaitable
async def with_options(x: int) -> str:
    return str(x)


@worker.task()
@retry(3)
@plain
async def factory(x: int, *, y: bool = False) -> str:
    return str(x or y)


@worker.task
@connected
async def without_the_first(connection: bytes, x: int) -> str:
    return str(connection) * x


@worker.task(timeout=5)
@coroutine
@plain
async def twice(*words: str, **numbers: int) -> None: ...


@worker.task
@coroutine
async def also_bare(x: int) -> str:
    return str(x)


@worker.task
def either(x: int) -> "str | Awaitable[str]":
    return str(x)


@worker.task
@cached
async def remembered(x: int) -> str:
    return str(x)


@worker.task
@spawned
async def started(x: int) -> str:
    return str(x)


@worker.task(priority="low")
@alone
async def run_by_itself(x: int) -> str:
    return str(x)


@worker.task
def future(x: int) -> "asyncio.Future[str]":
    raise NotImplementedError


class Images:
    @worker.task
    @staticmethod
    async def shrink(x: int) -> str:
        return str(x)

    async def grow(self, x: int) -> str:
        return str(x)


resize = worker.task(name="resize")(Resize())
grow = worker.task(Images().grow)


class TakesOne(Protocol):
    """The parameters keep their names."""

    def __call__(self, x: int) -> Awaitable[str]: ...


def kinds() -> list[TakesOne]:
    again = worker.task(awaitable(bare))
    return [bare, also_bare, with_options, either, started, run_by_itself, future, again]


async def gives() -> None:
    assert_type(await bare(1), str)
    assert_type(await with_options.send(1), Handle[str])
    assert_type(await (await factory.send(1, y=True)).result(), str)
    assert_type(await (await without_the_first.send(1)).result(), str)
    assert_type(await twice.send("a", b=1), Handle[None])
    assert_type(await remembered(1), str)
    assert_type(await (await remembered.send(1)).result(), str)
    assert_type(started.send_sync(1).result(), str)
    assert_type(await run_by_itself(1), str)
    assert_type(future.message(1), Message[str])
    assert_type(await (await resize.send("a", width=2)).result(), Repo)
    assert_type(await (await grow.send(1)).result(), str)
    assert_type(await (await Images.shrink.send(1)).result(), str)
    await without_the_first.send(b"connection", 1)  # error
    await bare.send("1")  # error
    await factory.send(1, z=True)  # error
    await resize.send("a", 2)  # error
    assert_type(await bare.send(1), Handle[Any])  # error


@worker.task
async def keep(**data: int) -> dict[str, int]:
    return data


@worker.task
def assign(
    task: str,
    id: int = 0,  # noqa: A002
    *,
    self: str = "",
    message: str = "",
) -> str:
    return task + self + message + str(id)


async def names() -> None:
    """Every name is the task's."""
    assert_type(await keep(self=1, task=2, fn=3, args=4, kwargs=5), dict[str, int])
    assert_type(await keep.send(self=1, id=2, delay=3), Handle[dict[str, int]])
    assert_type(await assign.send(task="a", self="b"), Handle[str])
    assert_type(assign.send_sync(task="a", id=1, message="c"), SyncHandle[str])
    assert_type(assign.message(task="a", self="b"), Message[str])
    assert_type(await assign.with_options(id="a").send(task="a", id=1), Handle[str])
    assert_type(testing.assert_sent(assign, task="a", self="b"), list[Message[str]])
    assert_type(testing.assert_sent_once(keep, self=1, task=2), Message[dict[str, int]])
    testing.assert_not_sent(assign, task="a", message="c")
    await ltq.gather(await keep.send(self=1), await fetch.send(repo="a"))
    await assign.send(task=1)  # error
    testing.assert_sent(task=assign)  # error
    testing.assert_sent(assign, task=1)  # error
