"""Work that keeps a CPU busy, in threads, beside an event loop that stays responsive.

    python -m examples.multithreading            # worker and producer in one process
    ltq run examples.multithreading:worker       # or the worker alone

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. A plain `def` runs in a thread
of the worker. Hashing releases the interpreter's lock, so it uses all CPUs. Pure Python code would
use only one, but it would not block the event loop either.
"""

import argparse
import asyncio
import contextlib
import hashlib
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import ltq

worker = ltq.Worker("multithreading", concurrency=8)

PATIENCE = 60.0
INTERVAL = 0.01


@dataclass(frozen=True)
class Key:
    """What a task returns."""

    key: str
    thread: str
    seconds: float


@worker.task
def stretch(password: str, rounds: int) -> Key:
    """Derive a key from a password: this keeps a CPU busy; more `rounds` take longer."""
    begun = time.thread_time()
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), b"ltq", rounds)
    return Key(key.hex(), threading.current_thread().name, time.thread_time() - begun)


@worker.task
async def ping(number: int) -> int:
    """A coroutine: it runs in the event loop, beside the threads."""
    return number


@dataclass
class LoopDelay:
    """How responsive the event loop was: how often a timer fired, and how late at most."""

    count: int = 0
    latest: float = 0.0
    pings: list[float] = field(default_factory=list)


@contextlib.asynccontextmanager
async def measured() -> AsyncIterator[LoopDelay]:
    """Measure how late the timers of this event loop are while the block runs."""
    delay = LoopDelay()

    async def measure() -> None:
        while True:
            due = time.perf_counter() + INTERVAL
            await asyncio.sleep(INTERVAL)
            delay.count += 1
            delay.latest = max(delay.latest, time.perf_counter() - due)

    measuring = asyncio.create_task(measure())
    try:
        yield delay
    finally:
        measuring.cancel()


async def produce(count: int, rounds: int) -> tuple[list[Key], LoopDelay, float]:
    """Run the worker here, send it the work, and ping it meanwhile: keys, delay, seconds."""
    async with worker, measured() as delay:
        begun = time.perf_counter()
        messages = [stretch.message(f"password {number}", rounds) for number in range(count)]
        working = asyncio.gather(
            *(handle.result(PATIENCE) for handle in await stretch.send_many(messages))
        )
        while not working.done():
            sent = time.perf_counter()
            await (await ping.send(len(delay.pings))).result(PATIENCE)
            delay.pings.append(time.perf_counter() - sent)
        return await working, delay, time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it all. 0: all went well, 1: not all, 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.multithreading",
        description="Keep CPUs busy in threads, and see the event loop stay responsive.",
    )
    parser.add_argument("--tasks", type=int, default=16, metavar="N", help="default: 16")
    parser.add_argument("--rounds", type=int, default=300_000, metavar="N", help="of each task")
    options = parser.parse_args(arguments)
    if options.tasks < 1 or options.rounds < 1:
        parser.error("--tasks and --rounds take a number, 1 or more")
    try:
        keys, delay, seconds = asyncio.run(produce(options.tasks, options.rounds))
    except ltq.LtqError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    threads, busy = {key.thread for key in keys}, sum(key.seconds for key in keys)
    print(f"{len(keys)} keys by {len(threads)} threads: {busy:.2f} s of CPU in {seconds:.2f} s")
    print(f"the event loop fired {delay.count} timers, at most {1000 * delay.latest:.0f} ms late")
    worst = 1000 * max(delay.pings, default=0.0)
    print(f"meanwhile {len(delay.pings)} pings were answered, within {worst:.0f} ms each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
