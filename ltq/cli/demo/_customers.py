"""Who uses the shop of `ltq demo --web`: customers who order, and staff who look after it."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from ltq.broker import Broker
from ltq.cli.demo.shop import (
    EXPIRED,
    POISON,
    charge,
    mail,
    pack,
    parcel_of,
    photo,
    seconds_to_end_of_outage,
    seconds_to_outage,
)
from ltq.errors import TaskNotFoundError

Tell = Callable[[str], None]

_WAVE = 25
"""So many customers come one soon after the other, and so many take their time."""

_RUSH, _CALM = 0.5, 1.5
_THINKING = 4.0
"""Seconds after which a customer thinks again."""

_STAFF_WAITS = 20.0
"""Seconds from when the bank is back until the staff retry: a chance to do so oneself."""

_LETTERS = 200
_READERS = 25
"""So many get a newsletter at once, which takes a while: that is what waits."""


async def customers(tell: Tell, *, with_poison: bool) -> None:
    """Order until cancelled. Each does something of its own."""
    await mail.with_options(delay=120).send(0, "how was it")
    undecided: deque[tuple[float, int]] = deque()
    order = 1000
    while True:
        order += 1
        await _order(order)
        if order % 12 == 4:
            undecided.append((time.monotonic() + _THINKING, order))
        if order == 1006 and with_poison:
            await photo.send(POISON)
            tell(f"photo {POISON} came in: it kills the worker process that opens it")
        while undecided and undecided[0][0] < time.monotonic():
            await _cancel(undecided.popleft()[1], tell)
        await asyncio.sleep(_RUSH if order // _WAVE % 2 == 0 else _CALM)


async def _order(order: int) -> None:
    priority: Literal["high", "normal"] = "high" if order % 5 == 0 else "normal"
    tags = (f"order:{order}", f"customer:{order % 7}")
    card = EXPIRED if order % 9 == 2 else random.choice(("visa", "amex"))
    chosen = charge.with_options(priority=priority, tags=tags)
    await chosen.send(order, round(random.uniform(5, 200), 2), card=card)
    if order % 4 == 0:
        await photo.send(f"order-{order}.jpg")
    if order % 20 == 10:
        await mail.send_many([mail.message(one, "newsletter") for one in range(_READERS)])
    if order % 6 == 0:
        await mail.with_options(delay=random.uniform(20, 60)).send(order, "how was it")


async def _cancel(order: int, tell: Tell) -> None:
    with suppress(TaskNotFoundError):  # it is not paid yet
        if await pack.handle(parcel_of(order)).cancel():
            tell(f"order {order}: the customer has changed their mind, packing is cancelled")


async def staff(broker: Broker, tell: Tell) -> None:
    """Retry the payments that failed while the bank was away, until cancelled."""
    while True:
        await asyncio.sleep(seconds_to_outage())
        tell("the bank does not answer: payments fail, and are tried again")
        await asyncio.sleep(seconds_to_end_of_outage())
        tell(f"the bank is back: in {_STAFF_WAITS:g} s the staff retry what is dead by then")
        await asyncio.sleep(_STAFF_WAITS)
        letters = await broker.dead_letters(charge.queue, limit=_LETTERS)
        failed = [one.id for one in letters if "the bank" in (one.error or "")]
        if failed:
            await broker.replay(charge.queue, failed)
            tell(f"the staff have retried {len(failed)} dead payments")
