"""What the dashboard shows of workflows."""

import asyncio
from typing import Any

import pytest

import ltq
from tests.eventually import eventually
from tests.web.boards import Board

PATIENCE = 10.0


def add_tasks(board: Board, may_end: asyncio.Event) -> tuple[Any, Any]:
    """Two tasks: one with a list, and one for its elements."""

    @board.worker.task
    async def split(text: str) -> list[str]:
        return text.split()

    @board.worker.task(max_tries=1)
    async def weigh(word: str) -> int:
        if word == "bad":
            raise ValueError("<b>too heavy</b>")
        await may_end.wait()
        return len(word)

    return split, weigh


async def test_the_page_of_each_task_shows_its_workflow(board: Board) -> None:
    may_end = asyncio.Event()
    split, weigh = add_tasks(board, may_end)
    words = split.step("a bc")
    node = ltq.join(words.map(weigh), words).with_options(id="r-7")
    paths = {
        "n0": "/queues/shop:split/tasks/r-7.n0",
        "n1": "/queues/shop:weigh/tasks/r-7.n1",
        "r-7": "/queues/shop:weigh/tasks/r-7",
    }
    async with board.worker:
        handle = await node.send()

        async def is_counted() -> bool:
            return "0 of 2" in await board.text(paths["r-7"])

        await eventually(is_counted, PATIENCE, "the map waits for its elements")
        text = await board.text(paths["n1"])
        assert "Workflow r-7" in text
        assert "split n0 completed first" in text
        assert "weigh n1 delayed 0 of 2 after n0" in text
        assert "ltq: join r-7 delayed after n1, n0" in text.replace("ltq:join", "ltq: join")
        assert "It waits for other tasks of its workflow" in text
        assert "Run now" not in text
        assert "waits for other tasks" in await board.text("/queues/shop:weigh?status=delayed")
        may_end.set()
        await handle.result(PATIENCE)
    for name, path in paths.items():
        html = await board.page(path)
        for other in paths.values():
            assert f'{other}"' in html.replace("%3A", ":")
        (here,) = [part for part in html.split("<tr")[1:] if "aria-current" in part]
        assert f">{name}</span></a>" in here
    element = await board.page("/queues/shop:weigh/tasks/r-7.n1.1")
    (here,) = [part for part in element.split("<tr")[1:] if "aria-current" in part]
    assert ">n1</span></a>" in here


async def test_an_error_is_shown_as_text(board: Board) -> None:
    split, weigh = add_tasks(board, asyncio.Event())
    async with board.worker:
        handle = await split.step("x").then(weigh).with_options(id="r-8").send()
        with pytest.raises(ltq.TaskError):
            await handle.result(PATIENCE)
        failing = await weigh.step("bad").then(weigh).with_options(id="r-9").send()
        with pytest.raises(ltq.TaskFailedError):
            await failing.result(PATIENCE)
    html = await board.page("/queues/shop:weigh/tasks/r-9")
    assert "ValueError: &lt;b&gt;too heavy&lt;/b&gt;" in html


async def test_of_a_large_one_the_first_nodes_are_shown_and_the_own(board: Board) -> None:
    split, _ = add_tasks(board, asyncio.Event())
    await ltq.join(*(split.step("x") for _ in range(1000))).with_options(id="wide").send()
    text = await board.text("/queues/shop:split/tasks/wide")
    assert "and 901 more nodes: ltq state wide --json tells all." in text
    assert text.count("split n") == 99
    text = await board.text("/queues/shop:split/tasks/wide.n700")
    assert "split n700 pending" in text
    assert text.count("split n") == 99


async def test_other_tasks_have_none(board: Board) -> None:
    split, _ = add_tasks(board, asyncio.Event())
    handle = await split.with_options(id="alone.n0").send("x")
    assert "Workflow" not in await board.text(f"/queues/shop:split/tasks/{handle.id}")
