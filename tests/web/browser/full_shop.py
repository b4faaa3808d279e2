"""A shop in which something of everything is to be seen, also texts that are hostile or long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

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
    """By kind: waiting, delayed, running, completed, failed, cancelled, hostile, workflow."""

    def task(self, kind: str, rest: str = "") -> str:
        """The path of a task's page."""
        queues = {
            "running": "render",
            "failed": "checkout",
            "hostile": "fail",
            "workflow": "render",
        }
        queue = queues.get(kind, "note")
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

    @worker.task
    async def titles() -> list[str]:
        return [LONG, HOSTILE]

    del render, fail, long_name, titles


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
    sent["workflow"] = await _flow(worker)
    broker = worker.broker
    await broker.pause("shop:note")
    sent["waiting"] = await note.with_options(priority="high", tags=("tenant:7",)).send(HOSTILE)
    sent["cancelled"] = await note.send("gone")
    await sent["cancelled"].cancel()
    await note.send_many([note.message(f"{LONG} {n}") for n in range(4)])
    await ltq.Scheduler(broker=broker).put("nightly", "30 2 * * *", note.message(HOSTILE))
    await eventually(lambda: _is_running(sent["running"]), 10, "a task runs")
    return {kind: handle.id for kind, handle in sent.items()}


async def _flow(worker: ltq.Worker[Any]) -> ltq.Handle[Any]:
    """A workflow with nodes of all kinds: many, one that failed, and a map that runs."""
    checkout, render = worker.tasks["shop:checkout"], worker.tasks["shop:render"]
    failing = checkout.step(-7, email=LONG)
    node: Any = ltq.join(failing, *(checkout.step(n) for n in range(120)))
    titles: Any = worker.tasks["shop:titles"].step()
    both: Any = ltq.join(node.then(render), titles.map(render)).then(render)
    handle = await both.with_options(on_failure="continue").send()
    await eventually(lambda: _maps(handle), 10, "the map runs")
    return cast(ltq.Handle[Any], handle)


async def _maps(handle: ltq.WorkflowHandle[Any]) -> bool:
    tree = await handle.tree()
    has_failed = any(node.error is not None for node in tree.nodes)
    return has_failed and any(node.total for node in tree.nodes)


async def _is_running(handle: ltq.Handle[Any]) -> bool:
    return (await handle.state()).progress is not None
