"""Workflows in `ltq watch`, `ltq state` and `ltq move`."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import ltq
from ltq import Node, Status, Worker
from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.cli.processes import Done, ltq_on_terminal, start_ltq

PATIENCE = 20.0


class Press:
    """A worker whose tasks wait for the test, and a workflow of them."""

    def __init__(self, url: str) -> None:
        self.worker: Worker[Any] = Worker("press", broker_url=url, concurrency=4)
        self.may_fetch, self.may_weigh = asyncio.Event(), asyncio.Event()

        @self.worker.task(max_tries=1)
        async def fetch(url: str) -> list[str]:
            await self.may_fetch.wait()
            if not url:
                raise ValueError("no \x1b[31mpage")
            return url.split("/")

        @self.worker.task
        async def weigh(word: str) -> int:
            await self.may_weigh.wait()
            return len(word)

        words = fetch.step("a/bc")
        self.node: Node[Any] = ltq.join(words.map(weigh), words).with_options(id="r-7")
        self.failing: Node[Any] = fetch.step("").map(weigh).with_options(id="r-8")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'press.db'}"


@pytest.fixture
async def press(url: str) -> AsyncIterator[Press]:
    press = Press(url)
    async with press.worker:
        yield press
        press.may_fetch.set()
        press.may_weigh.set()


def words(line: str) -> list[str]:
    """Those behind the time."""
    return line.split()[1:]


class TestWatch:
    async def test_a_line_for_each_change_of_a_node(self, press: Press, url: str) -> None:
        handle = await press.node.send()
        async with start_ltq("watch", "r-7.n0", "--broker-url", url) as watching:
            seen = [words(await watching.out_line()) for _ in range(3)]
            assert seen[1:] == [
                ["r-7.n1", "press:weigh", "delayed", "after", "n0"],
                ["r-7", "ltq:join", "delayed", "after", "n1,", "n0"],
            ]
            press.may_fetch.set()
            counted = ["r-7.n1", "press:weigh", "delayed", "0/2", "(0", "%)"]
            while words(await watching.out_line()) != counted:
                pass
            press.may_weigh.set()
            await handle.result(PATIENCE)
            done = await watching.end()
        assert (done.code, done.err) == (0, "")
        assert ["r-7.n1", "press:weigh", "completed"] in [words(one) for one in _lines(done)]
        end = words(done.out.splitlines()[-1])
        assert end == ["workflow", "r-7", "completed", "result", '[[1,2],["a","bc"]]']

    async def test_with_json_each_is_an_object(self, press: Press, url: str) -> None:
        press.may_fetch.set()
        press.may_weigh.set()
        await (await press.node.send()).result(PATIENCE)
        done = await call_ltq("watch", "r-7.n1.0", "--json", "--broker-url", url)
        *nodes, end = map(json.loads, done.out.splitlines())
        assert [(one["workflow"], one["id"], one["status"]) for one in nodes] == [
            ("r-7", "r-7.n0", "completed"),
            ("r-7", "r-7.n1", "completed"),
            ("r-7", "r-7", "completed"),
        ]
        assert nodes[1]["parents"] == ["r-7.n0"]
        assert end == {"workflow": "r-7", "status": "completed", "result": [[1, 2], ["a", "bc"]]}

    async def test_the_error_of_a_node_is_told(self, press: Press, url: str) -> None:
        press.may_fetch.set()
        handle = await press.failing.send()
        with pytest.raises(ltq.TaskFailedError):
            await handle.result(PATIENCE)
        done = await call_ltq("watch", "r-8", "--broker-url", url)
        assert done.code == 1
        assert "r-8.n0 press:fetch failed ValueError: no \\x1b[31mpage" in done.out
        assert done.err == (
            "ltq: workflow r-8 ended as failed: press:fetch r-8.n0: ValueError: no \\x1b[31mpage\n"
        )

    async def test_one_task_alone_if_that_is_wanted(self, press: Press, url: str) -> None:
        press.may_fetch.set()
        press.may_weigh.set()
        await (await press.node.send()).result(PATIENCE)
        done = await call_ltq("watch", "r-7.n0", "--no-tree", "--broker-url", url)
        assert words(done.out) == ["completed", "result", '["a","bc"]']
        both = await call_ltq("watch", "r-7.n0", "r-7", "--broker-url", url)
        assert {line.split()[1] for line in both.out.splitlines()} == {"r-7.n0", "r-7"}

    async def test_it_gives_up_after_a_while(self, press: Press, url: str) -> None:
        await press.node.send()
        done = await call_ltq("watch", "r-7", "--timeout", "0.1", "--broker-url", url)
        assert done.code == 1
        assert "r-7" in done.err

    async def test_on_a_terminal_all_nodes_are_lines_that_are_updated(
        self, press: Press, url: str
    ) -> None:
        handle = await press.node.send()
        async with ltq_on_terminal("watch", "r-7", "--broker-url", url) as terminal:
            await terminal.until("0 of 3 nodes ended")
            press.may_fetch.set()
            await terminal.until("0/2 (0 %)")
            press.may_weigh.set()
            await handle.result(PATIENCE)
            await terminal.until("3 of 3 nodes ended")
            await terminal.until('result [[1,2],["a","bc"]]')

    async def test_on_a_terminal_there_are_no_more_lines_than_it_has(self, url: str) -> None:
        worker: Worker[Any] = Worker("press", broker_url=url)

        @worker.task
        async def fetch(number: int) -> int:
            return number

        await ltq.join(*map(fetch.step, range(300))).with_options(id="wide").send()
        async with ltq_on_terminal("watch", "wide.n7", "--broker-url", url) as terminal:
            await terminal.until("0 of 301 nodes ended")
            await terminal.until("more:")
            assert terminal.text.count("press:fetch") < 60
        await worker.broker.aclose()


class TestState:
    async def test_the_workflow_is_behind_what_is_known_of_the_task(
        self, press: Press, url: str
    ) -> None:
        press.may_fetch.set()
        press.may_weigh.set()
        await (await press.node.send()).result(PATIENCE)
        done = await call_ltq("state", "r-7.n1", "--broker-url", url)
        assert done.out.partition("\n\n")[2].splitlines() == [
            "workflow r-7 completed, 3 of 3 nodes ended",
            "  press:fetch    completed  n0",
            "    press:weigh  completed  n1 after n0",
            "      ltq:join   completed  r-7 after n1, n0",
        ]
        shown = json.loads((await call_ltq("state", "r-7", "--json", "--broker-url", url)).out)
        assert [one["id"] for one in shown["workflow"]["nodes"]] == ["r-7.n0", "r-7.n1", "r-7"]

    async def test_of_a_large_one_what_needs_attention_is_shown(
        self, press: Press, url: str
    ) -> None:
        press.may_fetch.set()
        fetch: Any = press.worker.tasks["press:fetch"]
        nodes = [*[fetch.step("a")] * 1, *(fetch.step("b") for _ in range(80)), fetch.step("")]
        handle = await ltq.join(*nodes).with_options(id="many").send()
        with pytest.raises(ltq.TaskFailedError):
            await handle.result(PATIENCE)
        done = await call_ltq("state", "many", "--broker-url", url)
        assert "n81  ValueError" in done.out
        assert "  … and 33 more: " in done.out

    async def test_what_waits_for_others_has_no_arguments_yet(self, press: Press, url: str) -> None:
        await press.node.send()
        done = await call_ltq("state", "r-7.n1", "--broker-url", url)
        assert "arguments" not in done.out
        shown = json.loads((await call_ltq("state", "r-7", "--json", "--broker-url", url)).out)
        assert shown["body"] is None
        listed = await call_ltq("tasks", "press:weigh", "--broker-url", url)
        assert listed.out.count("waits for other tasks") == 2

    async def test_other_tasks_have_none(self, press: Press, url: str) -> None:
        press.may_fetch.set()
        handle = await press.worker.tasks["press:fetch"].send("x")
        await handle.result(PATIENCE)
        done = await call_ltq("state", handle.id, "--json", "--broker-url", url)
        assert json.loads(done.out)["workflow"] is None


class TestMove:
    async def test_workflows_stay_and_are_named(self, url: str, redis_url: str) -> None:
        press = Press(url)
        fetch: Any = press.worker.tasks["press:fetch"]
        alone = await fetch.send("x")
        await press.node.send()
        await press.failing.send()
        for arguments in (["--dry-run"], []):
            done = await call_ltq("move", url, redis_url, *arguments)
            assert done.code == (0 if arguments else 1)
            assert "press:fetch: 1 task" in done.out
            assert done.err.splitlines() == [
                _stays("press:fetch", "2 tasks of 2 workflows stay", "r-7, r-8"),
                _stays("press:weigh", "3 tasks of 2 workflows stay", "r-7, r-8"),
            ]
        async with Broker.from_url(redis_url) as target:
            assert (await target.state("press:fetch", alone.id)).status is Status.PENDING
            assert await target.find("r-7") is None
        for queue in ("press:fetch", "press:weigh"):
            await press.worker.broker.resume(queue)
        press.may_fetch.set()
        press.may_weigh.set()
        async with press.worker:
            handle = press.node.handle("r-7")
            assert await handle.result(PATIENCE) == ([1, 2], ["a", "bc"])
            with pytest.raises(ltq.TaskFailedError):
                await press.failing.handle("r-8").result(PATIENCE)
        again = await call_ltq("move", url, redis_url, "--json")
        dead, _ = json.loads(again.out)["queues"]
        assert (dead["dead"], dead["workflows"], dead["in_workflows"]) == (0, ["r-8"], 1)
        assert again.code == 1


def _stays(queue: str, what: str, names: str) -> str:
    return (
        f"ltq: {queue}: {what}, as a workflow ends where it began: {names}. "
        "Resume its queues at FROM, and let workers end it"
    )


def _lines(done: Done) -> list[str]:
    return done.out.splitlines()
