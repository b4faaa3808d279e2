"""Work that keeps a CPU busy, in threads, beside an event loop that stays responsive.

    python -m examples.multithreading            # worker and producer in one process
    ltq run examples.multithreading:worker       # or the worker alone

Redis is found by LTQ_BROKER_URL, else at redis://localhost:6379. A plain `def` runs in a thread
of the worker. Hashing lets go of the interpreter's lock, so it uses as many CPUs as there are; pure
Python code would not, but it would hold up the event loop as little.
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
TICK = 0.01


@dataclass(frozen=True)
class Key:
    """What a task returns."""

    key: str
    thread: str
    seconds: float


@worker.task
def stretch(password: str, rounds: int) -> Key:
    """Make a key of a password: this takes all of a CPU, for as long as `rounds` says."""
    begun = time.thread_time()
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), b"ltq", rounds)
    return Key(key.hex(), threading.current_thread().name, time.thread_time() - begun)


@worker.task
async def ping(number: int) -> int:
    """A coroutine: it runs in the event loop, beside the threads."""
    return number


@dataclass
class WorkerHealth:
    """How the event loop does: how often it ticked, and how late at worst."""

    ticks: int = 0
    latest: float = 0.0
    pings: list[float] = field(default_factory=list)


@contextlib.asynccontextmanager
async def felt() -> AsyncIterator[WorkerHealth]:
    """Feel the pulse of this event loop while the block runs."""
    pulse = WorkerHealth()

    async def beat() -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            pulse.ticks += 1
            pulse.latest = max(pulse.latest, time.perf_counter() - due)

    beating = asyncio.create_task(beat())
    try:
        yield pulse
    finally:
        beating.cancel()


async def produce(count: int, rounds: int) -> tuple[list[Key], WorkerHealth, float]:
    """Run the worker here, send it the work, and ping it meanwhile: keys, pulse, seconds."""
    async with worker, felt() as pulse:
        begun = time.perf_counter()
        messages = [stretch.message(f"password {number}", rounds) for number in range(count)]
        working = asyncio.gather(
            *(handle.result(PATIENCE) for handle in await stretch.send_many(messages))
        )
        while not working.done():
            sent = time.perf_counter()
            await (await ping.send(len(pulse.pings))).result(PATIENCE)
            pulse.pings.append(time.perf_counter() - sent)
        return await working, pulse, time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it all. 0: it went well, 1: not so, 2: wrong use."""
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
        keys, pulse, seconds = asyncio.run(produce(options.tasks, options.rounds))
    except ltq.LtqError as error:
        print(f"it did not work out: {error}", file=sys.stderr)
        return 1
    threads, busy = {key.thread for key in keys}, sum(key.seconds for key in keys)
    print(f"{len(keys)} keys by {len(threads)} threads: {busy:.2f} s of CPU in {seconds:.2f} s")
    print(f"the event loop ticked {pulse.ticks} times, at most {1000 * pulse.latest:.0f} ms late")
    worst = 1000 * max(pulse.pings, default=0.0)
    print(f"meanwhile {len(pulse.pings)} pings were answered, within {worst:.0f} ms each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
