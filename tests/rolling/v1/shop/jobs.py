"""The tasks of the shop before the deployment. Each comment says what changes in version 2."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import ltq
from ltq.middleware import default_stack
from tests.rolling.record import Mark, Sent, Tell, sent

VERSION = "v1"

shop = ltq.Worker(
    "shop",
    lease=3,  # 2
    shutdown_timeout=10,
    middlewares=[*default_stack(), Mark("trace"), Tell(VERSION)],  # "tenant"
)
books = ltq.Worker(
    "books",
    serializer="json",  # "msgpack"
    middlewares=[*default_stack(), Tell(VERSION)],
)
cart = ltq.Worker("cart", middlewares=[*default_stack(), Tell(VERSION)])  # "basket"

vault = ltq.Worker(
    "vault",
    serializer="json",  # one of its own
    middlewares=[*default_stack(), Tell(VERSION)],
)

app = ltq.App()  # without the vault, which is alone in its tests
for one in (shop, books, cart):
    app.register_worker(one)


@dataclass
class Page:
    scan: bytes
    day: datetime


@dataclass
class Price:
    amount: int  # and a currency


@shop.task(queue="shop:orders")
async def plain(number: int) -> int:
    return 2 * number


@shop.task(queue="shop:orders")
async def order(number: int) -> str:  # and `gift`, with a default
    return f"order {number}"


@shop.task
async def ship(number: int, express: bool = False) -> str:  # without `express`
    return f"{number} is sent{' at once' * express}"


@shop.task
async def mail(number: int) -> str:  # becomes `letter`
    return f"mail {number}"


@shop.task(queue="shop:orders")
async def retire(number: int) -> str:  # is removed
    return f"retired {number}"


@shop.task
async def price(number: int) -> Price:
    return Price(number)


@shop.task
async def total(number: int) -> int:  # gives a text
    return number


@shop.task(timeout=0.2, max_tries=1)  # 5
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)  # the task's own time
    return "done"


@shop.task(max_tries=1)  # 3
async def flaky(good: int) -> int:
    if ltq.current().attempt < good:
        raise ConnectionError("the bank is away")
    return ltq.current().attempt


@shop.task(max_age=0.1)  # a minute
async def fresh(number: int) -> int:
    return number


@shop.task(result_ttl=600)  # 300
async def keep(number: int) -> int:
    return number


@shop.task(queue="shop:orders")  # max_running=2
async def charge(number: int) -> int:
    await asyncio.sleep(0.05)  # the task's own time
    return number


@shop.task(queue="shop:orders", max_running=1)  # no limit
async def pack(number: int) -> int:
    await asyncio.sleep(0.02)  # the task's own time
    return number


@shop.task(max_rate="5/s")  # "40/s"
async def call(number: int) -> int:
    return number


@shop.task(max_rate="1/h")  # "100/s"
async def crawl(number: int) -> int:
    return number


@shop.task(priority="low")  # "high"
async def report(number: int) -> int:
    return number


@shop.task(queue="shop:orders")  # its own queue
async def moved(number: int) -> int:
    return number


@shop.task(queue="shop:night")  # "shop:day", and nothing else is in "shop:night"
async def lonely(number: int) -> int:
    return number


@shop.task(unique_for=60)  # 90
async def digest(month: str) -> str:
    return month


@shop.task(unique_for=60)
async def tally(month: str) -> str:  # and `detailed`, with a default
    return month


@shop.task(max_deliveries=3)  # 1
async def fatal(number: int) -> int:
    """Runs until its process is killed."""
    await asyncio.Event().wait()
    return number


@shop.task(max_pending=2)  # 3
async def stock(number: int) -> int:
    return number


@shop.cron("* * * * * *", name="tick")
@shop.task(result_ttl=0)
async def tick() -> None: ...


@shop.cron("* * * * * *", name="tock")  # every other second
@shop.task(result_ttl=0)
async def tock() -> None: ...


@shop.cron("@yearly", name="rare")  # every second
@shop.task(result_ttl=0)
async def rare() -> None: ...


@shop.cron("* * * * * *", name="old")  # is removed
@shop.task(result_ttl=0)
async def old() -> None: ...


@books.task
async def copy(page: Page) -> Page:
    return page


@books.task
async def scan(page: Page) -> Page:
    raise OSError("the scanner is off")  # works


@books.task(unique_for=60)
async def index(title: str) -> str:
    return title


@vault.task
async def lock(secret: str) -> str:
    return secret


@cart.task
async def empty(number: int) -> int:
    return number


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
            "mail": await mail.send(number),
            "retire": await retire.send(number),
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
