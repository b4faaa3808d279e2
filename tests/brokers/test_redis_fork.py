"""A process that was forked while it used a broker: parent and child mix no replies."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, os, sys
import ltq

worker = ltq.Worker("forked", broker_url=sys.argv[1])


@worker.task
async def double(number: int) -> int:
    return 2 * number


async def use(first: int) -> None:
    handles = await asyncio.gather(*(double.send(first + n) for n in range(50)))
    states = await asyncio.gather(*(handle.state() for handle in handles))
    assert {state.id for state in states} == {handle.id for handle in handles}


async def parent() -> int:
    await use(0)
    child = os.fork()
    if child == 0:
        os._exit(run_child())
    await use(100)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_child() -> int:
    asyncio._set_running_loop(None)  # the parent's, which does not run here
    asyncio.run(use(200))
    return 0


async def main() -> int:
    code = await parent()
    await worker.run(burst=True)
    counts = (await worker.broker.stats(["forked:double"]))[0]
    await worker.aclose()
    return code or counts.pending or counts.working


sys.exit(asyncio.run(main()))
"""


def test_it_opens_connections_of_its_own(redis_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, redis_url], capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 0, ended.stderr
