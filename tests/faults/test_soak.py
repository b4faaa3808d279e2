"""Every public coroutine is cancelled anywhere, again and again, while connections are cut: nothing
that was acknowledged is lost, and nothing is left behind.

`LTQ_SOAK_SECONDS` is how long that goes on, and `LTQ_SOAK_SEED` repeats the chances of a run.
"""

import asyncio
import gc
import logging
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import redis

from devtools.proxy import Proxy
from devtools.servers import RedisServer
from ltq.broker.feed import FeedTimeoutError
from ltq.brokers.redis import RedisBroker
from ltq.errors import LtqError
from ltq.message import Envelope
from ltq.names import new_id
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import cancelled_more  # noqa: F401  it notes calls
from tests.faults.cancelled import CALLS, CLEARED, SEAM, Stand, let_run, public_coroutines

SECONDS = float(os.environ.get("LTQ_SOAK_SECONDS", "15"))
SEED = int(os.environ.get("LTQ_SOAK_SEED", random.SystemRandom().randrange(10_000)))

_AT_ONCE = 6
"""How many calls are under way."""

_LONGEST = 15.0
"""Seconds after which a cancelled call must have ended."""

_EXPECTED = (
    *(LtqError, FeedTimeoutError, TimeoutError, LookupError),
    *(asyncio.CancelledError, StopAsyncIteration),
)


def test_no_public_coroutine_is_forgotten() -> None:
    assert set(public_coroutines()) == CALLS.keys()


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 90)
async def test_cancelled_calls_lose_nothing_and_leave_nothing_behind(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ltq.broker")
    print(f"LTQ_SOAK_SEED={SEED}")  # noqa: T201  to repeat it
    chance = random.Random(SEED)
    with redis.Redis.from_url(server.url, decode_responses=True) as admin:
        admin.ping()
        await _open_once(server.url)
        async with _nothing_left_in_the_process():
            async with Proxy(server.port, chance=chance) as proxy, _stand(proxy, chance) as stand:
                async with _cuts(proxy, admin, chance):
                    unexpected = await _cancel_for(SECONDS, stand)
                await _end_all(RedisBroker(server.url), stand)
            assert unexpected == []
        deaths = [one.getMessage() for one in caplog.records if "soak: took" in one.getMessage()]
        assert deaths == [], "no worker has died"
        await eventually(lambda: len(admin.client_list()) == 1, description="one client")
        assert admin.pubsub_channels("*") == []
        assert list(admin.scan_iter("ltq:*:leases:*")) == []


async def _open_once(url: str) -> None:
    """Do what imports modules and starts threads that stay."""
    async with RedisBroker(url) as broker:
        await broker.ping()


@asynccontextmanager
async def _nothing_left_in_the_process() -> AsyncIterator[None]:
    """Fail if asyncio tasks, threads or open files are left."""
    tasks, threads, files = asyncio.all_tasks(), set(threading.enumerate()), _files()
    yield
    gc.collect()
    with suppress(AssertionError):
        await eventually(lambda: set(threading.enumerate()) <= threads)  # they were told to end
    left = [repr(task) for task in asyncio.all_tasks() - tasks]
    assert left == []
    assert [one.name for one in set(threading.enumerate()) - threads] == []
    assert _files() - files == set()


def _files() -> set[tuple[str, str]]:
    """The open files of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found


@asynccontextmanager
async def _stand(proxy: Proxy, chance: random.Random) -> AsyncIterator[Stand]:
    """A stand whose worker runs through the proxy."""
    stand = Stand(proxy.url, chance)
    async with stand.worker:
        yield stand


@asynccontextmanager
async def _cuts(proxy: Proxy, admin: "redis.Redis", chance: random.Random) -> AsyncIterator[None]:
    """Cut connections from time to time."""
    faults: list[Callable[[], object]] = [
        proxy.reset_all,
        proxy.freeze_all,
        lambda: admin.client_kill_filter(_type="pubsub"),
        lambda: admin.client_kill_filter(_type="normal", skipme=True),
        admin.script_flush,
        lambda: setattr(proxy, "drop_share", chance.choice([0.0, 0.02])),
    ]

    async def cut() -> None:
        while True:
            await elapse(chance.uniform(0.2, 2.0), "connections hold for a while")
            chance.choice(faults)()

    cutting = asyncio.create_task(cut())
    try:
        yield
    finally:
        cutting.cancel()
        await asyncio.wait([cutting])
        proxy.drop_share = 0.0


async def _cancel_for(seconds: float, stand: Stand) -> list[str]:
    """Make calls and cancel them; return the errors that nobody expects."""
    until = time.monotonic() + seconds
    unexpected: list[str] = []

    async def go_on() -> None:
        while time.monotonic() < until:
            for name in stand.chance.sample(sorted(CALLS), len(CALLS)):
                if time.monotonic() > until:
                    return
                error = await _cancel_once(name, stand)
                if error is not None:
                    unexpected.append(f"{name}: {error!r}")

    await asyncio.gather(*(go_on() for _ in range(_AT_ONCE)))
    return unexpected


async def _cancel_once(name: str, stand: Stand) -> BaseException | None:
    """Make a call and cancel it somewhere, or not at all; return an error that nobody expects."""
    calling = asyncio.ensure_future(CALLS[name](stand))
    kind = stand.chance.random()
    if kind < 0.5:
        for _ in range(stand.chance.randrange(40)):
            await asyncio.sleep(0)
    elif kind < 0.8:
        await let_run(calling, stand.chance.expovariate(100))
    else:
        await let_run(calling, 1.0)
    for _ in range(stand.chance.choice([1, 1, 1, 2, 3])):
        calling.cancel()
        await asyncio.sleep(0)
    await let_run(calling, _LONGEST)
    if not calling.done():
        return AssertionError(f"does not end: {calling.get_stack()}")
    error = None if calling.cancelled() else calling.exception()
    return None if error is None or isinstance(error, _EXPECTED) else error


async def _end_all(broker: RedisBroker, stand: Stand) -> None:
    """Wait until each acknowledged task has ended. Leases of cut consumers have to end first."""
    async with broker:
        await broker.resume(CLEARED)  # the last call that paused it was not undone, perhaps
        await broker.publish([Envelope(id=new_id(), queue=SEAM, task_name=SEAM, body=b"")])
        async with broker.consumer([SEAM, CLEARED]) as consumer:

            async def has_ended() -> bool:
                for delivery in (await consumer.claim(100)).deliveries:
                    await broker.release(delivery.lease)
                stats = await broker.stats(await broker.queues())
                return not any(one.pending + one.delayed + one.working for one in stats)

            await eventually(has_ended, 30.0, "each task ends")
        queues = {queue for queue, _ in stand.sent}
        for queue in queues:
            ids = [task_id for its, task_id in stand.sent if its == queue]
            states = await broker.states(queue, ids)
            lost = [task_id for task_id, state in zip(ids, states, strict=True) if state is None]
            assert lost == [], f"of {len(ids)} in {queue}"
            assert all(state is None or state.status.is_final for state in states)
