"""The tasks of the shop after the deployment. Version 1 says in comments what has changed."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import ltq
from ltq.middleware import default_stack
from tests.rolling.record import Mark, Sent, Tell, sent

VERSION = "v2"

shop = ltq.Worker(
    "shop",
    lease=2,
    shutdown_timeout=10,
    middlewares=[*default_stack(), Mark("tenant"), Tell(VERSION)],
)
books = ltq.Worker(
    "books",
    serializer="msgpack",
    middlewares=[*default_stack(), Tell(VERSION)],
)
basket = ltq.Worker("basket", middlewares=[*default_stack(), Tell(VERSION)])
cart = ltq.Worker("cart", middlewares=[*default_stack(), Tell(VERSION)])  # until nothing waits


class Backwards:
    """A serializer that only this version knows."""

    def dumps(self, value: Any, /) -> bytes:
        return json.dumps(value).encode()[::-1]

    def loads(self, data: bytes, /) -> Any:
        return json.loads(data[::-1])


vault = ltq.Worker("vault", serializer=Backwards(), middlewares=[*default_stack(), Tell(VERSION)])

app = ltq.App()  # without the vault, which is alone in its tests
for one in (shop, books, basket, cart):
    app.register_worker(one)


@dataclass
class Page:
    scan: bytes
    day: datetime


@dataclass
class Price:
    amount: int
    currency: str = "EUR"


@shop.task(queue="shop:orders")
async def plain(number: int) -> int:
    return 2 * number


@shop.task(queue="shop:orders")
async def order(number: int, gift: bool = False) -> str:
    return f"order {number}{' as a gift' * gift}"


@shop.task
async def ship(number: int) -> str:
    return f"{number} is sent"


@shop.task(aliases=("mail",))
async def letter(number: int) -> str:
    return f"mail {number}"


@shop.task(queue="shop:orders")
async def refund(number: int) -> str:
    return f"refunded {number}"


@shop.task
async def price(number: int) -> Price:
    return Price(number)


@shop.task
async def total(number: int) -> str:
    return f"{number} EUR"


@shop.task(timeout=5, max_tries=1)
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)  # the task's own time
    return "done"


@shop.task(max_tries=3, backoff=0.1)
async def flaky(good: int) -> int:
    if ltq.current().attempt < good:
        raise ConnectionError("the bank is away")
    return ltq.current().attempt


@shop.task(max_age=60)
async def fresh(number: int) -> int:
    return number


@shop.task(result_ttl=300)
async def keep(number: int) -> int:
    return number


@shop.task(queue="shop:orders", max_running=2)
async def charge(number: int) -> int:
    await asyncio.sleep(0.05)  # the task's own time
    return number


@shop.task(queue="shop:orders")
async def pack(number: int) -> int:
    await asyncio.sleep(0.02)  # the task's own time
    return number


@shop.task(max_rate="40/s")
async def call(number: int) -> int:
    return number


@shop.task(max_rate="100/s")
async def crawl(number: int) -> int:
    return number


@shop.task(priority="high")
async def report(number: int) -> int:
    return number


@shop.task
async def moved(number: int) -> int:
    return number


@shop.task(queue="shop:day")
async def lonely(number: int) -> int:
    return number


@shop.task(unique_for=90)
async def digest(month: str) -> str:
    return month


@shop.task(unique_for=60)
async def tally(month: str, detailed: bool = False) -> str:
    return month


@shop.task(max_deliveries=1)
async def fatal(number: int) -> int:
    """Runs until its process is killed."""
    await asyncio.Event().wait()
    return number


@shop.task(max_pending=3)
async def stock(number: int) -> int:
    return number


@shop.cron("* * * * * *", name="tick")
@shop.task(result_ttl=0)
async def tick() -> None: ...


@shop.cron("* * * * * */2", name="tock")
@shop.task(result_ttl=0)
async def tock() -> None: ...


@shop.cron("* * * * * *", name="rare")
@shop.task(result_ttl=0)
async def rare() -> None: ...


@shop.cron("* * * * * *", name="new")
@shop.task(result_ttl=0)
async def new() -> None: ...


@books.task
async def copy(page: Page) -> Page:
    return page


@books.task
async def scan(page: Page) -> Page:
    return page


@books.task(unique_for=60)
async def index(title: str) -> str:
    return title


@vault.task
async def lock(secret: str) -> str:
    return secret


@basket.task
async def empty(number: int) -> int:
    return number


cart.task(empty.fn)


PAGE = Page(b"\xff\x00", datetime(2026, 11, 29, tzinfo=UTC))


async def send_all(number: int) -> list[Sent]:
    """One of each kind, as this version sends it."""
    period = f"{number // 4}"
    return sent(
        VERSION,
        number,
        {
            "plain": await plain.send(number),
            "order": await order.send(number),
            "ship": await ship.send(number),
            "mail": await letter.send(number),
            "refund": await refund.send(number),
            "price": await price.send(number),
            "slow": await slow.send(0.4),
            "slow, timeout": await slow.with_options(timeout=timedelta(seconds=3)).send(0.4),
            "flaky": await flaky.send(3),
            "flaky, max_tries": await flaky.with_options(max_tries=2).send(2),
            "fresh": await fresh.with_options(delay=0.2).send(number),
            "keep": await keep.send(number),
            "keep, result_ttl": await keep.with_options(result_ttl=900).send(number),
            "charge": await charge.send(number),
            "pack": await pack.send(number),
            "call": await call.send(number),
            "crawl": await crawl.send(number),
            "report": await report.send(number),
            "moved": await moved.send(number),
            "digest": await digest.send(period),
            "tally": await tally.send(period),
            "copy": await copy.send(PAGE),
            "index": await index.send(period),
            "cart": await empty.send(number),
        },
    )
