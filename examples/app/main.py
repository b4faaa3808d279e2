"""Two workers in one App, and a producer for them.

    ltq run --app examples.app.main:app          # in one terminal
    python -m examples.app.main redis "8.2 is out"   # in another

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. Each worker has a thread and an
event loop of its own, so one that is busy does not hold up the other. Ctrl-C stops both.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import ltq
from examples.app import emails, notifications

PATIENCE = 10.0
"""Seconds that the producer waits for a worker."""


class Timing(ltq.Middleware):
    """Prints how long each run took: one object for all workers of the App."""

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        """Around each run."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            print(f"{task.name} took {1000 * (time.perf_counter() - begun):.0f} ms")


app = ltq.App(middlewares=[Timing()])
app.register_worker(emails.worker)
app.register_worker(notifications.worker)


async def produce(topic: str, news: str) -> list[str]:
    """Send one notification; returns the mail server's answer to each of its emails."""
    async with AsyncExitStack() as stack:
        for worker in app.workers:
            stack.push_async_callback(worker.aclose)
        sent = await (await notifications.notify.send(topic, news)).result(PATIENCE)
        # An id is enough for a handle, in any process.
        handles = [emails.send_email.handle(task_id) for task_id in sent.emails]
        return [await handle.result(PATIENCE) for handle in handles]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the producer. 0: all emails are sent, 1: not all, 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.app.main",
        description="Tell the followers of a topic some news.",
        epilog="The workers: ltq run --app examples.app.main:app",
    )
    parser.add_argument("topic", metavar="TOPIC", help="redis or python")
    parser.add_argument("news", metavar="NEWS")
    options = parser.parse_args(arguments)
    try:
        receipts = asyncio.run(produce(options.topic, options.news))
    except ltq.ResultTimeoutError:
        print("no answer; does a worker run? ltq run --app examples.app.main:app", file=sys.stderr)
        return 1
    except ltq.LtqError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    for receipt in receipts:
        print(f"sent: {receipt}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
