"""Live pages: what a stream sends, and what many viewers cost."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest

import ltq
from ltq._aio.service import spawn
from ltq.brokers.memory import MemoryBroker
from ltq.testing import FlakyBroker
from ltq.web._respond import Responder
from ltq.web._source.live import LivePages
from tests.eventually import eventually
from tests.web.boards import PATIENCE, Board, open_board, text_of
from tests.web.shop import make_shop


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    data: str


class Stream:
    """The stream of one page, as a browser reads it."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self, name: str = "") -> str:
        """The data of the next event with this name; the pages have none."""
        async with asyncio.timeout(PATIENCE):
            while (event := await self._event()) is not None:
                if event.name == name:
                    return event.data
        raise AssertionError("the stream has ended")

    async def page_with(self, text: str) -> str:
        """The next page that has a text in it."""
        async with asyncio.timeout(PATIENCE):
            while text not in (page := await self.next()):
                pass
        return page

    async def end(self) -> None:
        """Read until it ends."""
        async with asyncio.timeout(PATIENCE):
            async for _ in self._lines:
                pass

    async def _event(self) -> Event | None:
        name, data = "", []
        async for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data.append(line.removeprefix("data: "))
            elif not line:
                return Event(name, "\n".join(data))
        return None


@asynccontextmanager
async def watch(board: Board, path: str = "/") -> AsyncIterator[Stream]:
    """The stream of a page."""
    separator = "&" if "?" in path else "?"
    url = f"/{board.key}{path}{separator}live=1"
    async with board.client.stream("GET", url) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


@pytest.fixture
async def flaky() -> AsyncIterator[Board]:
    """The dashboard of a broker that fails on demand, and counts its calls."""
    inner = MemoryBroker("memory://flaky")
    worker = make_shop("memory://flaky")
    worker.broker = FlakyBroker(inner)
    async with open_board(worker) as board:
        yield board
    inner.forget()


def calls_of(board: Board) -> Any:
    assert isinstance(board.broker, FlakyBroker)
    return board.broker.calls


def viewers_of(board: Board) -> int:
    responder: Responder = board.app.state.responder
    return responder.live.viewers


class TestStream:
    async def test_it_sends_the_page_and_then_its_changes(self, board: Board) -> None:
        async with watch(board) as stream:
            assert "There are no queues yet" in await stream.next()
            await board.worker.tasks["shop:note"].send("x")
            assert "<small>alive" in await stream.page_with("shop:note")

    async def test_a_fragment_is_what_the_whole_page_has_there(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        for path in ("/queues/shop:note", f"/queues/shop:note/tasks/{handle.id}", "/dead"):
            page = await board.page(path)
            async with watch(board, path) as stream:
                fragment = await stream.next()
            inner = page.partition('hx-swap="innerMorph">')[2]
            assert text_of(f"<main id>{fragment}</main>") in text_of(f"<main id>{inner}</main>")

    @pytest.mark.slow
    async def test_what_passes_by_itself_is_not_sent_again(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        async with watch(board, f"/queues/shop:note/tasks/{handle.id}") as stream:
            await stream.next()
            await stream.next("ltq-beat")  # five seconds without a change

    async def test_who_asks_for_its_head_only_gets_that(self, board: Board) -> None:
        answer = await board.client.head(f"/{board.key}/?live=1")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert viewers_of(board) == 0

    async def test_an_action_is_seen_by_all_viewers_soon(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(watch(board)) for _ in range(3)]
            for stream in streams:
                await stream.next()
            begun = time.monotonic()
            await board.post("/queues/shop:note/pause")
            for stream in streams:
                await stream.page_with("</svg>paused")
            assert time.monotonic() - begun < 1.5

    async def test_it_is_seen_as_soon_on_a_page_that_is_read_rarely(self, board: Board) -> None:
        async with board.worker:
            handle = await board.worker.tasks["shop:checkout"].send(-1)
            await handle.wait(timeout=5)
        async with watch(board, "/dead") as stream:
            await stream.page_with(handle.id)
            begun = time.monotonic()
            await board.post(f"/queues/shop:checkout/tasks/{handle.id}/purge")
            await stream.page_with("There are no dead letters")
            assert time.monotonic() - begun < 1.5

    async def test_a_task_that_goes_says_so(self, board: Board) -> None:
        task = board.worker.tasks["shop:note"].with_options(result_ttl=0)
        handle = await task.send("x")
        async with watch(board, f"/queues/shop:note/tasks/{handle.id}") as stream:
            await stream.next()
            async with board.worker:
                assert "There is no task" in await stream.page_with("Gone")

    async def test_it_ends_after_a_while_so_that_the_viewer_is_let_in_anew(
        self, board: Board, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.web._source.live._LONGEST", 0.1)
        monkeypatch.setattr("ltq.web._source.live._BEAT", 0.02)
        async with watch(board) as stream:
            await stream.end()

    async def test_it_ends_when_the_server_stops(self, board: Board) -> None:
        async with watch(board) as stream:
            await stream.next()
            responder: Responder = board.app.state.responder
            responder.live.end_streams()
            await stream.end()


class TestPoller:
    @pytest.mark.slow
    async def test_a_hundred_viewers_cost_the_broker_what_one_costs(self, flaky: Board) -> None:
        await flaky.worker.tasks["shop:note"].send("x")
        one = await self.cost(flaky, 1)
        hundred = await self.cost(flaky, 100)
        assert one >= 2
        assert hundred <= one + 2  # one more round may fall into the time

    async def cost(self, board: Board, viewers: int) -> int:
        """How often the counts are read while so many look for three rounds."""
        async with AsyncExitStack() as stack:
            limits = httpx.Limits(max_connections=None)
            base = board.client.base_url
            client = httpx.AsyncClient(base_url=base, limits=limits, timeout=PATIENCE)
            await stack.enter_async_context(client)
            streams = []
            for _ in range(viewers):
                answer = client.stream("GET", f"/{board.key}/?live=1")
                streams.append(Stream(await stack.enter_async_context(answer)))
            await asyncio.gather(*(stream.next() for stream in streams))
            before = calls_of(board)["stats"]
            for number in range(3):
                await board.worker.tasks["shop:note"].send(f"x{number}")
                await asyncio.gather(*(stream.next() for stream in streams))
            return int(calls_of(board)["stats"] - before)

    async def first(self, stream: AsyncIterator[str]) -> str:
        return await anext(stream)

    async def test_a_page_that_takes_long_keeps_no_other_waiting(self) -> None:
        live, ends = LivePages(), asyncio.Event()
        numbers = count()

        async def slow() -> str:
            await ends.wait()
            return "slow"

        async def quick() -> str:
            return f"quick {next(numbers)}"

        stuck = spawn(self.first(live.stream("slow", slow, 0.01)))
        stream = live.stream("quick", quick, 0.01)
        async with asyncio.timeout(PATIENCE):
            while "quick 3" not in await anext(stream):
                pass
            ends.set()
            assert "slow" in await stuck
        await live.aclose()

    async def test_what_was_read_before_an_action_is_read_again_at_once(self) -> None:
        live, begun, goes_on = LivePages(), asyncio.Event(), asyncio.Event()
        shown = "before"

        async def render() -> str:
            found = shown
            begun.set()
            await goes_on.wait()
            return found

        stream = live.stream("page", render, 60.0)
        first = spawn(self.first(stream))
        await begun.wait()
        shown = "after"
        live.nudge()
        goes_on.set()
        async with asyncio.timeout(PATIENCE):
            await first
            while "after" not in await anext(stream):
                pass
        await live.aclose()

    async def test_many_different_pages_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So many that look at different pages cost no more than a few."""
        monkeypatch.setattr("ltq.web._source.live._AT_FULL_PACE", 2)
        live, numbers = LivePages(), count()

        async def render() -> str:
            return f"page {next(numbers)}"

        streams = [live.stream(number, render, 0.05) for number in range(20)]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*map(self.first, streams))
            begun = time.monotonic()
            for _ in range(6):  # two events for each change
                await anext(streams[0])
        assert time.monotonic() - begun >= 0.9  # two of them: each 0.05 s * 20 / 2
        await live.aclose()

    async def test_one_more_than_can_be_open_is_told_so(
        self, board: Board, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.web._source.live._MOST_VIEWS", 1)
        monkeypatch.setattr("ltq.web._source.live._BEAT", 0.02)
        async with watch(board) as first, watch(board, "/workers") as second, watch(board) as same:
            await first.next()
            assert await second.next("ltq-full") == "1 different pages are open already"
            await second.end()
            await same.next()

    async def test_unknown_queues_share_what_they_read(self, flaky: Board) -> None:
        await flaky.worker.tasks["shop:note"].send("x")
        assert isinstance(flaky.broker, FlakyBroker)
        flaky.broker.slow(0.2, on="stats")
        before = calls_of(flaky)["stats"]
        paths = [f"/{flaky.key}/queues/unknown-{number}" for number in range(10)]
        answers = await asyncio.gather(*(flaky.client.get(path) for path in paths))
        assert {one.status_code for one in answers} == {404}
        assert calls_of(flaky)["stats"] - before <= 4

    async def test_it_stops_when_nobody_looks(self, flaky: Board) -> None:
        async with watch(flaky) as stream:
            await stream.next()
            assert viewers_of(flaky) == 1
        await eventually(lambda: viewers_of(flaky) == 0)
        responder: Responder = flaky.app.state.responder
        await eventually(lambda: not responder.live.is_running)

    async def test_different_pages_share_what_they_read(self, flaky: Board) -> None:
        await flaky.worker.tasks["shop:note"].send("x")
        async with watch(flaky) as first, watch(flaky, "/workers") as second:
            await first.next()
            await second.next()
            before = calls_of(flaky)["stats"]
            await flaky.worker.tasks["shop:note"].send("y")
            await first.next()
            assert calls_of(flaky)["stats"] - before <= 2


async def test_dead_letters_are_not_waited_for_without_end(
    flaky: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with flaky.worker:
        await (await flaky.worker.tasks["shop:checkout"].send(-1)).wait(timeout=5)
    await flaky.page("/dead")
    assert isinstance(flaky.broker, FlakyBroker)
    flaky.broker.slow(PATIENCE, on="dead_letters")
    monkeypatch.setattr("ltq.web._source.readings.PATIENCE", 0.2)
    for path in ("/dead", "/dead/confirm?task=shop:checkout", "/search?q=nothing"):
        answer = await flaky.client.get(f"/{flaky.key}{path}")
        assert answer.status_code == 503, path
        assert "does not answer within 0.2 s" in answer.text


@pytest.mark.slow
class TestBrokerAway:
    async def test_the_page_says_so_and_goes_on_by_itself(self, flaky: Board) -> None:
        await flaky.worker.tasks["shop:note"].send("x")
        assert isinstance(flaky.broker, FlakyBroker)
        async with watch(flaky) as stream:
            await stream.next()
            fault = flaky.broker.fail()
            away = json.loads(await stream.next("ltq-away"))
            assert away["since"] == pytest.approx(time.time(), abs=5)
            assert away["text"]
            fault.heal()
            await stream.next("ltq-here")
            await flaky.worker.tasks["shop:resize"].send([1])
            await stream.page_with("shop:resize")

    async def test_a_first_page_says_so_and_its_stream_fills_it(self, flaky: Board) -> None:
        await flaky.worker.tasks["shop:note"].send("x")
        assert isinstance(flaky.broker, FlakyBroker)
        fault = flaky.broker.fail()
        for path in ("/", "/queues/shop:note", "/dead", "/workers", "/search?q=x"):
            text = await flaky.text(path, 503)
            assert "The broker does not answer" in text
        said = await flaky.client.post(f"/{flaky.key}/schedules/tidy/pause")
        assert said.status_code in (200, 503)
        async with watch(flaky) as stream:
            await stream.next("ltq-away")
            fault.heal()
            assert "shop:note" in await stream.next()

    async def test_an_error_of_ours_is_no_end_of_a_stream(
        self, board: Board, monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture
    ) -> None:
        async with watch(board) as stream:
            await stream.next()
            with monkeypatch.context() as patch:
                patch.setattr("ltq.web._respond.render_live", lambda *_: 1 / 0)
                away = json.loads(await stream.next("ltq-away"))
                assert "ZeroDivisionError" in away["text"]
            await stream.next("ltq-here")


async def test_a_worker_may_be_on_a_broker_of_another_loop(shop: ltq.Worker[Any]) -> None:
    """A dashboard that two event loops serve has readings and a poller for each."""
    async with open_board(shop) as board:
        assert "There are no queues yet" in await board.text("/")

        async def elsewhere() -> str:
            from tests.web.boards import browse, serve

            async with serve(board.app) as url, browse(url) as client:
                return (await client.get(f"/{board.key}/")).text

        assert "There are no queues yet" in await asyncio.to_thread(asyncio.run, elsewhere())
