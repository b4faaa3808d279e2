"""Pages that keep themselves up to date, and what they say while they cannot."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Route, expect

import ltq
from devtools.servers import RedisServer, free_port
from ltq.web import dashboard
from ltq.web._respond import Responder
from tests.eventually import eventually
from tests.web.boards import Board, open_board, serve
from tests.web.browser.tabs import Tab, address_of, open_tab
from tests.web.shop import make_shop

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def send(board: Board, *texts: str) -> None:
    for text in texts:
        await board.worker.tasks["shop:note"].send(text)


def viewers_of(board: Board) -> int:
    responder: Responder = board.app.state.responder
    return responder.live.viewers


class TestUpdates:
    async def test_what_is_sent_is_seen_without_a_reload(self, served: Board, tab: Tab) -> None:
        await tab.open("/")
        await tab.live()
        await expect(tab.page.locator(".empty")).to_contain_text("There are no queues yet")
        await send(served, "x", "y")
        row = tab.page.get_by_role("row", name="shop:note")
        await expect(row.get_by_role("cell").nth(1)).to_have_text("2")
        assert await tab.is_same()

    async def test_progress_moves(self, served: Board, tab: Tab) -> None:
        steps: asyncio.Queue[int] = asyncio.Queue()

        @served.worker.task
        async def render() -> None:
            while step := await steps.get():
                await ltq.current().progress(step, 4, note=f"page {step}")

        async with served.worker:
            handle = await render.send()
            await tab.open(f"/queues/shop:render/tasks/{handle.id}")
            await tab.live()
            bar = tab.page.locator("progress")
            for step in (1, 3):
                steps.put_nowait(step)
                await expect(bar).to_have_attribute("value", str(25 * step))
                await expect(tab.page.locator(".note")).to_have_text(f"page {step}")
            steps.put_nowait(0)
            await expect(tab.page.locator("main .line .status")).to_have_text("completed")
        assert await tab.is_same()

    async def test_an_action_of_one_is_seen_by_others(
        self, browser: Browser, served: Board, tab: Tab
    ) -> None:
        await send(served, "x")
        async with open_tab(browser, tab.at) as other:
            await other.open("/queues/shop:note")
            await tab.open("/")
            await tab.live()
            await other.page.get_by_role("button", name="Pause").click()
            row = tab.page.get_by_role("row", name="shop:note")
            await expect(row.locator(".status.paused")).to_be_visible()
        assert await tab.is_same()

    async def test_what_one_is_about_to_do_survives_an_update(
        self, served: Board, tab: Tab
    ) -> None:
        await send(served, "x")
        await tab.open("/queues/shop:note")
        await tab.live()
        await tab.page.get_by_text("Clear this queue").click()
        await tab.page.get_by_placeholder("shop:note").fill("shop:no")
        await send(served, "y")
        await expect(tab.page.get_by_role("row")).to_have_count(3)
        await expect(tab.page.get_by_placeholder("shop:note")).to_have_value("shop:no")
        await expect(tab.page.get_by_placeholder("shop:note")).to_be_focused()

    async def test_ticks_focus_and_what_is_unfolded_survive_it(
        self, served: Board, tab: Tab
    ) -> None:
        async with served.worker:
            first = await served.worker.tasks["shop:checkout"].send(-1)
            await first.wait(timeout=10)
            await tab.open("/dead")
            await tab.live()
            box = tab.page.get_by_label(f"Choose {first.id}")
            await box.focus()
            await tab.press("Space")
            second = await served.worker.tasks["shop:checkout"].send(-2)
            await expect(tab.page.get_by_label(f"Choose {second.id}")).to_be_visible()
            await expect(box).to_be_checked()
            await expect(box).to_be_focused()
            await expect(tab.page.get_by_label(f"Choose {second.id}")).not_to_be_checked()
            task = served.worker.tasks["shop:note"].with_options(delay=600)
            handle = await task.send("x")
            await tab.open(f"/queues/shop:note/tasks/{handle.id}")
            await tab.live()
            await tab.page.get_by_text("As a command").click()
            await served.broker.promote("shop:note", [handle.id])
            await expect(tab.page.locator("main .line .status")).to_have_text("completed")
            await expect(tab.page.locator("#command")).to_have_count(0)
        assert await tab.is_same()

    async def test_charts_are_drawn_and_go_on(self, served: Board, tab: Tab) -> None:
        async with served.worker:
            await send(served, "x")
            await tab.open("/queues/shop:note")
            await tab.live()
            await expect(tab.page.locator(".uplot")).to_have_count(2)
            await send(served, "y", "z")
            await expect(tab.page.locator("#hour")).to_contain_text("3 completed")
            await expect(tab.page.locator(".uplot")).to_have_count(2)

    async def test_times_pass_by_themselves(self, served: Board, tab: Tab) -> None:
        await send(served, "x")
        await tab.open("/queues/shop:note")
        await tab.live()
        when = tab.page.locator("td time")
        before = await when.inner_text()
        await expect(when).not_to_have_text(before)
        assert re.fullmatch(r"\d+ s ago", await when.inner_text())

    async def test_scripts_that_arrive_late_make_it_live_all_the_same(
        self, served: Board, tab: Tab
    ) -> None:
        async def late(route: Route) -> None:
            await asyncio.sleep(0.5)  # the task's own time: the script is late
            await route.continue_()

        for name in ("hx-sse", "ltq.js"):
            await tab.page.route(f"**/*{name}*", late)
            await tab.open("/")
            await tab.live()
            await tab.page.unroute(f"**/*{name}*")


class TestHiddenTab:
    async def test_it_is_sent_nothing_and_goes_on_when_it_is_seen(
        self, served: Board, tab: Tab
    ) -> None:
        await send(served, "x")
        await tab.open("/")
        await tab.live()
        assert viewers_of(served) == 1
        await self.hide(tab, True)
        await eventually(lambda: viewers_of(served) == 0, 10, "the stream is closed")
        await send(served, "y")
        cell = tab.page.get_by_role("row", name="shop:note").get_by_role("cell").nth(1)
        await asyncio.sleep(2)  # the task's own time: two rounds of a poller
        assert (await cell.inner_text(), viewers_of(served)) == ("1", 0)
        await self.hide(tab, False)
        await expect(cell).to_have_text("2")
        await expect(tab.page.locator("#live")).to_have_text("Live")
        assert await tab.is_same()

    async def hide(self, tab: Tab, is_hidden: bool) -> None:
        """What a browser does when another tab is looked at. Without a window it never does."""
        await tab.page.evaluate(
            """(hidden) => {
              Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
              document.dispatchEvent(new Event("visibilitychange"));
            }""",
            is_hidden,
        )


class TestBackAndForward:
    async def test_it_leads_to_pages_that_are_live(self, served: Board, tab: Tab) -> None:
        await send(served, "x")
        await tab.open("/")
        await tab.live()
        await tab.page.locator("#q-shop\\:note a").first.click()
        await tab.live()
        await tab.page.get_by_role("link", name="pending").click()
        await tab.page.get_by_role("button", name="Pause").click()
        await tab.said("paused the queue shop:note")
        await tab.page.go_back()
        await tab.page.go_back()
        await tab.live()
        assert not tab.page.url.endswith("?status=pending")
        await expect(tab.page.locator(".banner[role=status]")).to_have_count(0)  # it was told
        await send(served, "y")
        await expect(tab.page.get_by_role("row")).to_have_count(3)
        await tab.page.go_back()
        await expect(tab.page.locator("#q-shop\\:note .status.paused")).to_be_visible()
        await tab.page.go_forward()
        await tab.live()
        await expect(tab.page.get_by_role("row")).to_have_count(3)

    async def test_a_page_that_was_put_aside_is_loaded_anew(self, served: Board, tab: Tab) -> None:
        await tab.open("/")
        await tab.live()
        event = 'new PageTransitionEvent("pageshow", {persisted: true})'
        async with tab.page.expect_navigation():
            await tab.page.evaluate(f"() => {{ dispatchEvent({event}); }}")
        assert not await tab.is_same()


class TestAway:
    async def test_a_server_that_goes_is_told_until_it_is_back(
        self, browser: Browser, shop: ltq.Worker[Any]
    ) -> None:
        app, port = dashboard(shop, authorize=None), free_port()
        async with open_tab(browser, f"http://127.0.0.1:{port}") as tab:
            async with serve(app, port=port):
                await tab.open("/")
                await tab.live()
            live = tab.page.locator("#live")
            await expect(live).to_have_text(re.compile(r"Disconnected since \d+:\d\d:\d\d"))
            await shop.tasks["shop:note"].send("x")
            async with serve(app, port=port):
                await expect(live).to_have_text("Live")
                await expect(tab.page.locator("#q-shop\\:note")).to_be_visible()
                assert await tab.is_same()

    async def test_a_page_that_has_no_place_says_so_until_it_has_one(
        self, served: Board, tab: Tab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        banner = tab.page.locator("#away")
        with monkeypatch.context() as patch:
            patch.setattr("ltq.web._source.live._MOST_VIEWS", 0)
            await tab.open("/")
            await expect(banner).to_contain_text("This page does not move: 0 different pages")
            await expect(tab.page.locator("#live")).to_have_text("Not live")
        await expect(banner).to_be_hidden()
        await tab.live()

    @pytest.mark.timeout(90)
    async def test_a_broker_that_goes_is_told_until_it_is_back(
        self, browser: Browser, redis_executable: str
    ) -> None:
        with RedisServer(redis_executable) as redis:
            worker = make_shop(redis.url)
            async with open_board(worker) as board, open_tab(browser, address_of(board)) as tab:
                await send(board, "x")
                await tab.open("/")
                await tab.live()
                redis.kill()
                banner = tab.page.locator("#away")
                await expect(banner).to_contain_text("No answer from the broker since")
                await expect(tab.page.locator("#q-shop\\:note")).to_be_visible()  # as it was
                redis.start()
                await expect(banner).to_be_hidden()
                await expect(tab.page.locator(".empty")).to_contain_text("There are no queues yet")
                assert await tab.is_same()
            await worker.aclose()
