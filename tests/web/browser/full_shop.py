"""A shop in which something of everything is to be seen, also texts that are hostile or long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ltq
from ltq.brokers.memory import MemoryBroker
from tests.eventually import eventually
from tests.web.boards import Board, open_board
from tests.web.shop import make_shop

HOSTILE = (
    "</pre></script><script>window.hacked = 1</script>"
    "<img src=x onerror='window.hacked = 2'>\"&{{7*7}}<b class=hostile>"
)
LONG = "pneumonoultramicroscopicsilicovolcanoconiosis" * 8
"""A word that no line can hold."""


@dataclass(frozen=True)
class FullShop:
    """The dashboard, and the tasks that are there."""

    board: Board
    ids: dict[str, str]
    """By kind: waiting, delayed, running, completed, failed, cancelled, hostile."""

    def task(self, kind: str, rest: str = "") -> str:
        """The path of a task's page."""
        queue = {"running": "render", "failed": "checkout", "hostile": "fail"}.get(kind, "note")
        return f"/queues/shop:{queue}/tasks/{self.ids[kind]}{rest}"


@asynccontextmanager
async def open_full_shop() -> AsyncIterator[FullShop]:
    """Serve it. A task runs until the end of the block."""
    worker, ends = make_shop("memory://full-shop"), asyncio.Event()
    _add_tasks(worker, ends)
    async with open_board(worker) as board, worker:
        ids = await _fill(worker)
        yield FullShop(board, ids)
        ends.set()
    assert isinstance(worker.broker, MemoryBroker)
    worker.broker.forget()


def _add_tasks(worker: ltq.Worker[Any], ends: asyncio.Event) -> None:
    @worker.task
    async def render(title: str) -> None:
        await ltq.current().progress(3, 8, note=f"{title} {HOSTILE}")
        await ends.wait()

    @worker.task(max_tries=1)
    async def fail(text: str) -> None:
        raise ValueError(text)

    @worker.task(name="a_task_with_a_name_that_is_longer_than_a_narrow_screen_can_show_in_one_line")
    async def long_name() -> None: ...

    del render, fail, long_name


async def _fill(worker: ltq.Worker[Any]) -> dict[str, str]:
    checkout, note = worker.tasks["shop:checkout"], worker.tasks["shop:note"]
    render, fail = worker.tasks["shop:render"], worker.tasks["shop:fail"]
    sent = {
        "completed": await note.send(HOSTILE),
        "failed": await checkout.send(-7, email=LONG),
        "hostile": await fail.send(f"{HOSTILE} {LONG}"),
        "running": await render.with_options(tags=("tenant:7",)).send(LONG),
        "delayed": await note.with_options(delay=3600).send("later"),
    }
    for kind in ("completed", "failed", "hostile"):
        await sent[kind].wait(timeout=10)
    await fail.send_many([fail.message(f"order {n}") for n in range(3)])
    broker = worker.broker
    await broker.pause("shop:note")
    sent["waiting"] = await note.with_options(priority="high", tags=("tenant:7",)).send(HOSTILE)
    sent["cancelled"] = await note.send("gone")
    await sent["cancelled"].cancel()
    await note.send_many([note.message(f"{LONG} {n}") for n in range(4)])
    await ltq.Scheduler(broker=broker).put("nightly", "30 2 * * *", note.message(HOSTILE))
    await eventually(lambda: _is_running(sent["running"]), 10, "a task runs")
    return {kind: handle.id for kind, handle in sent.items()}


async def _is_running(handle: ltq.Handle[Any]) -> bool:
    return (await handle.state()).progress is not None
