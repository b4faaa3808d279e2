"""The tasks of `ltq demo --web`: a little shop in which something of everything happens.

An ordinary module for `ltq run`: a worker, its tasks and a schedule.
"""

import asyncio
import os
import random
import time
from dataclasses import dataclass

from ltq.context import current
from ltq.errors import RejectError
from ltq.worker import Worker

# `ltq demo` replaces the broker. This one needs nothing, and asks no environment.
worker: Worker = Worker(
    "shop", broker_url="memory://shop", concurrency=8, lease=3.0, shutdown_timeout=1.0
)

GOODS = ("a blue vase", "two candles", "a map of Lyon", "tea", "a kite", "a brass bell", "soap")

POISON = "broken.tif"
"""The photo that ends each worker process that looks at it."""

EXPIRED = "expired"
"""A card that no bank takes."""

_MINUTE, _OUTAGE = 60.0, 12.0


@dataclass(frozen=True)
class Receipt:
    """What was paid."""

    order: int
    amount: float
    card: str


def bank_is_away() -> bool:
    """Whether the bank cannot be reached, as in the last seconds of each minute."""
    return time.time() % _MINUTE >= _MINUTE - _OUTAGE


def seconds_to_outage() -> float:
    """Until the bank is away: 0 if it is."""
    return max(0.0, _MINUTE - _OUTAGE - time.time() % _MINUTE)


def seconds_to_end_of_outage() -> float:
    """Until it is back, or back from the next outage."""
    return _MINUTE - time.time() % _MINUTE


def parcel_of(order: int) -> str:
    """The id of the task that packs an order."""
    return f"parcel-{order}"


@worker.task(max_tries=3, backoff=1.0, retry_on=ConnectionError)
async def charge(order: int, amount: float, *, card: str = "visa") -> Receipt:
    """Take the money, and let the order be packed."""
    await asyncio.sleep(random.uniform(0.05, 0.4))
    if card == EXPIRED:
        raise RejectError("the card has expired")
    if bank_is_away():
        raise ConnectionError("the bank does not answer")
    tags = (f"order:{order}",)
    things = list(GOODS[order % 4 :])  # the same if its worker dies, and it runs again
    await pack.with_options(id=parcel_of(order), tags=tags).send(order, things)
    await mail.with_options(tags=tags).send(order, "thanks")
    return Receipt(order, amount, card)


@worker.task(max_running=6)
async def pack(order: int, things: list[str]) -> int:
    """Put one thing after the other into a box."""
    for done, thing in enumerate(things):
        await current().progress(done, len(things), note=thing)
        await asyncio.sleep(random.uniform(0.5, 1.5))
    return len(things)


@worker.task(priority="low", max_rate="3/s")
async def mail(order: int, template: str) -> str:
    """Write to the customer."""
    await asyncio.sleep(0.1)
    return f"{template} for order {order}"


@worker.task(max_deliveries=2)
def photo(name: str) -> str:
    """Make a photo of the catalogue smaller. A plain `def` runs in a thread."""
    if name == POISON:
        os._exit(1)
    time.sleep(random.uniform(0.2, 1.0))
    return name.replace(".", "-small.")


@worker.cron("* * * * * */20", name="stocktaking")  # the sixth field is seconds
@worker.task
async def count_stock() -> dict[str, int]:
    """Count what is there: each 20 seconds."""
    await asyncio.sleep(0.5)
    return {thing: random.randint(0, 40) for thing in GOODS}
