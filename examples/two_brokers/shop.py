"""Two brokers: orders must survive, mail is only quick. `ltq.toml` beside this file names them.

cd examples/two_brokers
ltq run --app shop:app              # in one terminal
python shop.py tea scones           # in another
ltq top                             # both brokers; --broker-url @mail is only that one
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import ltq

PATIENCE = 10.0
"""Seconds that the producer waits for a worker."""

orders = ltq.Worker("orders")  # the primary broker
mail = ltq.Worker("mail", broker_url="@mail")

app = ltq.App()
app.register_worker(orders)
app.register_worker(mail)


@mail.task
async def confirm(item: str) -> str:
    """Write a mail."""
    return f"Dear customer, your {item} is on its way."


@orders.task(max_tries=3)
async def order(item: str) -> str:
    """Take an order; returns the id of the mail, which is sent over the other broker."""
    return (await confirm.send(item)).id


async def produce(items: Sequence[str]) -> tuple[str, ...]:
    """Order some items; returns the mails."""
    try:
        handles = await order.send_many([order.message(item) for item in items])
        ids = await ltq.gather(*handles, timeout=PATIENCE)
        return await ltq.gather(*(confirm.handle(one) for one in ids), timeout=PATIENCE)
    finally:
        for worker in app.workers:
            await worker.aclose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the producer. 0: everything is ordered, 1: something is not, 2: wrong use."""
    parser = argparse.ArgumentParser(description="Order something.")
    parser.add_argument("items", metavar="ITEM", nargs="+")
    try:
        mails = asyncio.run(produce(parser.parse_args(arguments).items))
    except ltq.LtqError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print("\n".join(mails))
    return 0


if __name__ == "__main__":
    sys.exit(main())
