"""A worker whose process is killed between the outcome of a run and what follows from it.

`python -m tests.faults.followers URL POINT` serves `payer:pay`. POINT is the call at which it dies:
before it ("publish"), or behind it ("published").
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import ltq
from ltq.broker import Broker
from ltq.brokers.redis import RedisBroker
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Envelope

LEASE = 1.0

payer = ltq.Worker("payer", lease=LEASE)
post = ltq.Worker("post", lease=LEASE)


@post.task
async def receipt(order: str) -> str:
    """What follows."""
    return order


@payer.task
async def pay(order: str) -> None:
    """What is followed."""
    await ltq.current().send_after(receipt.with_options(id=f"receipt-{order}").message(order))


def die_at(point: str) -> None:
    """Let this process be killed when it sends what follows."""
    for kind in (RedisBroker, SqliteBroker):
        _watch(kind, point)


def _watch(kind: type[Broker], point: str) -> None:
    publish = kind.publish

    async def killed(broker: Any, envelopes: Sequence[Envelope]) -> Any:
        if point == "publish":
            os.kill(os.getpid(), signal.SIGKILL)
        await publish(broker, envelopes)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(kind, "publish", killed)  # noqa: B010  a method that is watched from outside


async def main(url: str, point: str) -> None:
    """Serve until killed."""
    payer.broker = post.broker = Broker.from_url(url)
    die_at(point)
    await payer.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
