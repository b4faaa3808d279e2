"""A program of its own that runs LTQ: `python -m tests.signals.own_program WHAT HANDLERS LOOP`.

WHAT is what it runs, HANDLERS says which handlers of SIGTERM and SIGINT it has: "none" of its own,
those of "python", or those of the event "loop". LOOP is asyncio or uvloop.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from ltq._aio.signals import SAME_SIGNAL
from tests.elapse import elapse
from tests.signals import jobs
from tests.signals.jobs import tell

BOTH = (signal.SIGTERM, signal.SIGINT)


async def embedded(what: Any) -> None:
    """Run it beside other code, which waits for a handler of the program."""
    async with what:
        tell("entered")
        await heard.wait()


async def begun(run: Callable[[], Awaitable[None]]) -> None:
    """Run what does not tell by itself that it runs."""
    asyncio.get_running_loop().call_soon(tell, "begun")
    await run()


async def twice(run: Callable[[], Awaitable[None]]) -> None:
    """Two runs at once, and one more after them."""
    await asyncio.gather(run(), run())
    tell("again")
    await run()


WHAT: dict[str, Callable[[], Awaitable[None]]] = {
    "worker": lambda: jobs.worker.run(),
    "app": lambda: jobs.app.run(),
    "scheduler": lambda: begun(jobs.scheduler.run),
    "workers": lambda: twice(jobs.worker.run),
    "embedded worker": lambda: embedded(jobs.worker),
    "embedded app": lambda: embedded(jobs.app),
    "embedded scheduler": lambda: embedded(jobs.scheduler),
}


def hear(number: int, _: object = None) -> None:
    tell(f"heard {signal.Signals(number).name}")
    asyncio.get_running_loop().call_soon_threadsafe(heard.set)


async def main() -> None:
    loop = asyncio.get_running_loop()
    if handlers == "loop":
        for number in BOTH:
            loop.add_signal_handler(number, hear, number)
    before = [signal.getsignal(number) for number in BOTH]
    try:
        await WHAT[what]()
    finally:
        tell("over")
    assert [signal.getsignal(number) for number in BOTH] == before
    if handlers != "none":
        heard.clear()
        await elapse(SAME_SIGNAL, "another signal is a second one")
        os.kill(os.getpid(), signal.SIGTERM)
        await heard.wait()
    tell("as before")


if __name__ == "__main__":
    what, handlers, loop_name = sys.argv[1:]
    heard = asyncio.Event()
    if handlers == "python":
        for one in BOTH:
            signal.signal(one, hear)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop_name == "uvloop" else None) as r:
        r.run(main())
