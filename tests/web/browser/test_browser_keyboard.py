"""All of it without a mouse: where Tab leads, and that keys do what clicks do."""

import pytest
from playwright.async_api import expect

from tests.web.boards import Board
from tests.web.browser.tabs import Tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_the_first_tab_skips_to_the_content(served: Board, tab: Tab) -> None:
    await served.worker.tasks["shop:note"].send("x")
    await tab.open("/")
    await tab.live()
    await tab.press("Tab")
    await expect(tab.page.get_by_text("Skip to the content")).to_be_in_viewport()
    await tab.press("Enter")
    await expect(tab.page.locator("#content")).to_be_focused()
    await tab.press_until("Tab", "shop:note")
    await tab.press("Enter")
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("shop:note")


async def test_a_slash_leads_to_the_search(served: Board, tab: Tab) -> None:
    handle = await served.worker.tasks["shop:note"].send("needle")
    await tab.open("/")
    await tab.press("/")
    await tab.page.keyboard.type("needle")
    await tab.press("Enter")
    await expect(tab.page.get_by_role("link", name=handle.id)).to_be_visible()
    await tab.press("/")
    await tab.page.keyboard.type(f"{handle.id}/")  # in the field a slash is a slash
    await expect(tab.page.get_by_role("searchbox")).to_have_value(f"{handle.id}/")


async def test_what_has_the_focus_shows_it(served: Board, tab: Tab) -> None:
    await served.worker.tasks["shop:note"].send("x")
    await tab.open("/queues/shop:note")
    await tab.live()
    for _ in range(25):
        await tab.press("Tab")
        tag, style = await tab.page.evaluate(
            """() => {
              const one = document.activeElement;
              return [one.tagName, getComputedStyle(one).outlineStyle];
            }"""
        )
        assert tag == "BODY" or style != "none", tag


async def test_a_queue_is_paused_and_cleared(served: Board, tab: Tab) -> None:
    await served.worker.tasks["shop:note"].send("x")
    await tab.open("/queues/shop:note")
    await tab.live()
    await tab.press_until("Tab", "Pause")
    await tab.press("Enter")
    await tab.said("paused the queue shop:note")
    await tab.live()
    await tab.press_until("Tab", "Clear this queue")
    await tab.press("Enter", "Tab")
    await tab.page.keyboard.type("shop:note")
    await tab.press("Enter")
    await tab.said("cleared the queue shop:note")


async def test_dead_letters_are_chosen_and_retried(served: Board, tab: Tab) -> None:
    async with served.worker:
        handle = await served.worker.tasks["shop:checkout"].send(-1)
        await handle.wait(timeout=10)
    await tab.open("/dead")
    await tab.live()
    await tab.press_until("Tab", f"Choose {handle.id}")
    await tab.press("Space")
    await tab.press_until("Tab", "Retry the chosen")
    await tab.press("Space")
    await tab.said("retried 1 dead letter")


async def test_a_task_is_sent_with_other_arguments(served: Board, tab: Tab) -> None:
    handle = await served.worker.tasks["shop:checkout"].send(7)
    await tab.open(f"/queues/shop:checkout/tasks/{handle.id}/edit")
    await tab.page.locator("#content").focus()
    await tab.press("Tab", "Tab")  # past the link to the task
    await expect(tab.page.get_by_label("order")).to_be_focused()
    await tab.press("Control+a")
    await tab.page.keyboard.type("8")
    await tab.press_until("Tab", "Send")
    await tab.press("Enter")
    await expect(tab.page.locator("h1 .id")).not_to_have_text(handle.id)
    assert (await served.broker.stats(["shop:checkout"]))[0].pending == 2
