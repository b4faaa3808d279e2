"""Every page and action over the stores that matter: a real Redis, and a SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import ltq
from ltq.state import Status
from tests.eventually import eventually
from tests.web.boards import Board, open_board
from tests.web.shop import make_shop


@pytest.fixture(params=["sqlite", "redis"])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Board]:
    """The dashboard of a broker whose tasks are elsewhere."""
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
    else:
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
    worker: ltq.Worker[Any] = make_shop(url)
    async with worker.broker, open_board(worker) as board:
        yield board


async def test_pages_show_what_is_there(stored: Board) -> None:
    note = stored.worker.tasks["shop:note"]
    waiting = await note.with_options(tags=("a",)).send("hello")
    await note.with_options(delay=60).send("later")
    async with stored.worker:
        failed = await stored.worker.tasks["shop:checkout"].send(-1, email="a@b.c")
        await failed.wait(timeout=10)
        await waiting.wait(timeout=10)
        await eventually(stored.broker.workers)
        assert "alive" in await stored.text("/workers")
    text = await stored.text("/")
    assert "Delayed 1" in text
    assert "Dead letters 1" in text
    assert "later" in await stored.text("/queues/shop:note?status=delayed")
    assert waiting.id in await stored.text("/queues/shop:note?tag=a")
    text = await stored.text(f"/queues/shop:checkout/tasks/{failed.id}")
    assert "ValueError: order -1 is negative" in text
    assert 'email="a@b.c"' in text
    assert "ValueError: order -… is negative" in await stored.text("/dead")
    assert failed.id in await stored.text("/search?q=a@b.c")
    assert "tidy" in await stored.text("/schedules")


async def test_actions_change_it(stored: Board) -> None:
    note = stored.worker.tasks["shop:note"]
    handle = await note.with_options(delay=60).send("x")
    path = f"/queues/shop:note/tasks/{handle.id}"
    assert "it is pending now" in await stored.said(f"{path}/promote")
    assert "cancelled" in await stored.said(f"{path}/cancel")
    assert (await handle.state()).status is Status.CANCELLED
    assert "paused" in await stored.said("/queues/shop:note/pause")
    await note.send("y")
    assert "1 waiting" in await stored.said("/queues/shop:note/clear", name="shop:note")
    assert "resumed" in await stored.said("/queues/shop:note/resume")
    async with stored.worker:
        failed = await stored.worker.tasks["shop:checkout"].send(-1)
        await failed.wait(timeout=10)
    assert "sent the task" in await stored.said(f"/queues/shop:checkout/tasks/{failed.id}/rerun")
    assert "retried 1" in await stored.said("/dead/do", do="retry", all="yes")
    assert "ran the schedule" in await stored.said("/schedules/tidy/trigger")
