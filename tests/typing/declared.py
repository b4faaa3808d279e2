"""Tasks in every spelling, for the other files here. Read by type checkers, never run."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ltq
from ltq import Worker


@dataclass
class Repo:
    name: str
    stars: int = 0


class Database:
    async def count(self, table: str) -> int:
        return len(table)


def use(*values: object) -> None: ...


@asynccontextmanager
async def connect(_: Worker[Any]) -> AsyncIterator[Database]:
    yield Database()


worker = Worker("github", broker_url="memory://typing", concurrency=10)
stored = Worker("stored", lifespan=connect)


@worker.task
async def fetch(repo: str, *, depth: int = 1) -> Repo:
    return Repo(repo, depth)


@worker.task
def shout(text: str, times: int = 1) -> str:
    return text.upper() * times


@worker.task()
async def maybe(number: int) -> Repo | None: ...


@worker.task(
    name="length",
    queue="github:all",
    max_tries=3,
    backoff=timedelta(seconds=1),
    retry_on=(OSError, ValueError),
    max_age=timedelta(hours=1),
    max_rate="10/s",
    timeout=30,
    result_ttl=0.5,
    priority="low",
    max_running=5,
    max_pending=100,
    on_full="wait",
    full_timeout=2,
    unique_for=timedelta(minutes=1),
    max_deliveries=2,
    aliases=("old", "older"),
)
async def measure(*words: str, **weights: float) -> int:
    return len(words) + len(weights)


@worker.task(retry_on=OSError, backoff=1.5, timeout=timedelta(seconds=5))
def halve(number: float, /) -> float:
    return number / 2


@worker.task(retry_on=lambda error: "again" in str(error), backoff=lambda failed: 2.0 * failed)
async def nothing() -> None: ...


def _anything(value: Any) -> Any: ...


# A function that gives Any may be a generator, too: checkers are told that this is none.
anything: ltq.Task[[Any], Any] = worker.task(_anything)


@stored.task(max_tries=2)
async def count(table: str = "rows") -> int:
    return await stored.resource.count(table)


@worker.cron("0 3 * * *", tz="Europe/Berlin", misfire="skip")
@worker.cron("@daily", name="daily")
@worker.task(max_tries=2)
async def tidy(deep: bool = False) -> int:
    return int(deep)


@worker.cron("@hourly")
@worker.task
def tick() -> int:
    return 1


@worker.task
async def parse(page: Repo, *, lang: str = "en") -> list[str]:
    return [page.name, lang]


@worker.task
def weigh(word: str, weight: float = 1.0) -> float:
    return len(word) * weight


@worker.task
async def add(numbers: list[float]) -> float:
    return sum(numbers)


@worker.task
async def tell(both: tuple[float, Repo]) -> str:
    return str(both)


@worker.task
async def rank(page: Repo | None, *, by: str = "stars") -> int:
    return 0 if page is None else page.stars


@worker.task
async def most(numbers: Sequence[float]) -> float | None:
    return max(numbers, default=None)


@worker.task
async def store(anything: object) -> None:
    use(anything)


@worker.task
async def unique(page: Repo) -> set[str]:
    return {page.name}


@worker.task
async def both(one: int, other: str) -> bool:
    return str(one) == other


def greet() -> str:
    return "hello"


async def greet_slowly() -> str:
    return "hello"


send_options: ltq.SendOptions = {"delay": 5, "priority": "low"}
task_options: ltq.TaskOptions = {"max_tries": 5, "timeout": 30}


@worker.task
async def chat(prompt: str, *, tokens: int = 10) -> AsyncIterator[str]:
    yield prompt


@worker.task(max_items=100)
async def crawl(repo: str) -> AsyncGenerator[Repo, None]:
    yield Repo(repo)


@worker.task
def primes(most: int) -> Iterator[int]:
    yield most


@worker.task(timeout=5)
def lines(path: str) -> Generator[str, None, None]:
    yield path
