"""A worker is killed behind an outcome: others send what follows, once, and within seconds."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

import ltq
from ltq.broker import Broker
from tests.eventually import eventually
from tests.faults.followers import LEASE, pay, receipt

pytestmark = pytest.mark.slow

WITHIN = 2 * LEASE + 2.0 + 3.0
"""Seconds after the death: two announcements of the heir, the age of what counts as left, and what
a busy machine takes."""


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        given: str = request.getfixturevalue("redis_url")
        return given
    return f"sqlite:///{tmp_path}/jobs.db?sync=normal"


async def killed(url: str, point: str) -> None:
    """Run an order, in a process that is killed at a point."""
    command = (sys.executable, "-m", "tests.faults.followers", url, point)
    victim = await asyncio.create_subprocess_exec(*command)
    assert await victim.wait() == -signal.SIGKILL


async def is_carried(broker: Broker) -> bool:
    """Whether no ending is left."""
    return not await broker.endings(pay.queue)


async def test_others_send_what_follows(url: str) -> None:
    ran: list[str] = []
    async with Broker.from_url(url) as broker:
        heir = ltq.Worker("payer", broker=broker, lease=LEASE)
        post = ltq.Worker("post", broker=broker, lease=LEASE)

        @heir.task
        async def other() -> None: ...

        @post.task(name="receipt")
        async def note(order: str) -> None:
            ran.append(order)

        sender = ltq.Worker("payer", broker=broker)
        send = sender.task(pay.fn)
        async with heir, post:
            for point in ("publish", "published"):
                await send.send(point)
                await killed(url, point)
                await eventually(lambda: is_carried(broker), WITHIN, "the end of the ending")
                state = await note.handle(f"receipt-{point}").wait(WITHIN)
                assert state.status is ltq.Status.COMPLETED
        assert ran == ["publish", "published"]
        assert receipt.queue == note.queue
