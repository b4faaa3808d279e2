"""One simulated day."""

import asyncio
import hashlib
import random
from contextvars import copy_context
from dataclasses import dataclass

import ltq
from devtools.simulate.books import Books
from devtools.simulate.people import People
from devtools.simulate.shop import LIMIT, PARTS, Shop
from ltq.errors import TaskNotFoundError
from ltq.state import TaskState
from ltq.testing import Clock
from ltq.testing._mover import mover_of

DAY = 86_400.0
AFTERWARDS = 6 * 3600.0
"""Seconds after the day in which the store is well and nothing is sent."""

SLOTS = int((DAY + AFTERWARDS) / 1800)
"""Slots of the schedule in this time."""


@dataclass(frozen=True, slots=True)
class Lived:
    """A day that is over."""

    seed: int
    sent: int
    runs: int
    findings: list[str]
    """What was wrong; empty if nothing was."""
    digest: str
    """Of all that happened: the same for the same seed."""


async def live(seed: int, jobs: int = 600) -> Lived:
    """Live the day of a seed. Every fourth one is calm."""
    chance = random.Random(seed)
    random.seed(seed)  # LTQ's own chances: how long retries wait
    clock = Clock(start="2030-01-01T00:00:00Z", patience=0.0)
    books = Books(is_calm=seed % 4 == 0)
    shop = Shop(chance.randint(1, 4), books, clock)
    async with ltq.testing.use(*shop.workers, clock=clock, with_scheduler=True) as box:
        people = People(shop, box.broker, box.broker._broker, chance)
        await clock.advance()
        context = copy_context()
        mover_of(clock).lead(context)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(one, context=context) for one in people.works(jobs, DAY)]
        await clock.advance(DAY)
        box.broker.heal()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await clock.advance(AFTERWARDS)
        findings = [repr(one) for one in ended if isinstance(one, Exception)]
        states = [await _state(handle) for _, handle in books.sent.values()]
        findings += books.findings(states)
        for number, handle in books.orders.items():
            findings += books.judge_order(number, await _state(handle), PARTS)
        findings += _left(people, books)
        for task in people.watching:
            task.cancel()
        await asyncio.gather(*people.watching, return_exceptions=True)
    digest = hashlib.sha256("\n".join(books.log).encode()).hexdigest()[:12]
    return Lived(seed, len(books.sent), books.began.total(), findings, digest)


async def _state(handle: ltq.Handle[int]) -> TaskState[int] | None:
    try:
        return await handle.state()
    except TaskNotFoundError:
        return None


def _left(people: People, books: Books) -> list[str]:
    """What is wrong with watchers, limits and the schedule."""
    findings = [f"a watcher still waits: {one!r}" for one in people.watching if not one.done()]
    findings += [
        f"a watcher was told {one.exception()!r}"
        for one in people.watching
        if one.done() and not one.cancelled() and one.exception() is not None
    ]
    if books.is_calm and books.most_running > LIMIT:
        findings.append(f"{books.most_running} runs at once of a task that may have {LIMIT}")
    return [*findings, *books.judge_schedule(SLOTS)]
