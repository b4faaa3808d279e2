"""Each action, as it is done with a mouse: what the page says then, and what has happened."""

from typing import Any

import pytest
from playwright.async_api import expect

from ltq.state import Status
from tests.web.boards import Board
from tests.web.browser.tabs import Tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def send(board: Board, name: str, *args: object, **options: Any) -> str:
    """Send a task of the shop; its id."""
    task = board.worker.tasks[f"shop:{name}"].with_options(**options)
    return (await task.send(*args)).id


async def fail(board: Board, *orders: int) -> list[str]:
    """The ids of tasks that have failed."""
    async with board.worker:
        handles = [await board.worker.tasks["shop:checkout"].send(order) for order in orders]
        for handle in handles:
            await handle.wait(timeout=10)
    return [handle.id for handle in handles]


async def status(board: Board, queue: str, task_id: str) -> Status:
    return (await board.broker.state(queue, task_id)).status


class TestQueue:
    async def test_it_is_paused_and_resumed(self, served: Board, tab: Tab) -> None:
        await send(served, "note", "x")
        await tab.open("/queues/shop:note?status=pending")
        await tab.page.get_by_role("button", name="Pause").click()
        await tab.said("paused the queue shop:note")
        assert tab.page.url.endswith("?status=pending")
        assert (await served.broker.stats(["shop:note"]))[0].paused
        await tab.page.get_by_role("button", name="Resume").click()
        await tab.said("resumed the queue shop:note")
        assert not (await served.broker.stats(["shop:note"]))[0].paused

    async def test_it_is_cleared_once_its_name_is_typed(self, served: Board, tab: Tab) -> None:
        await send(served, "note", "x")
        await tab.open("/queues/shop:note")
        await tab.page.get_by_text("Clear this queue").click()
        remove = tab.page.get_by_role("button", name="Remove the waiting tasks")
        await tab.page.get_by_label("Name").fill("shop:nose")
        await remove.click()  # the browser holds it back
        assert (await served.broker.stats(["shop:note"]))[0].pending == 1
        await tab.page.get_by_label("Name").fill("shop:note")
        await remove.click()
        await tab.said("cleared the queue shop:note: 1 waiting tasks are removed")
        assert (await served.broker.stats(["shop:note"]))[0].pending == 0

    async def test_filters_are_in_the_address(self, served: Board, tab: Tab) -> None:
        chosen = await send(served, "note", "x", tags=("tenant:7",))
        other = await send(served, "note", "y")
        await tab.open("/queues/shop:note?status=pending")
        await tab.page.get_by_label("Tag").fill("tenant:7")
        await tab.page.get_by_role("button", name="Filter").click()
        await expect(tab.page.locator(f"#t-{other}")).to_have_count(0)
        await expect(tab.page.locator(f"#t-{chosen}")).to_be_visible()
        assert "status=pending" in tab.page.url
        assert "tag=tenant%3A7" in tab.page.url


class TestTask:
    async def test_a_waiting_one_is_cancelled(self, served: Board, tab: Tab) -> None:
        task_id = await send(served, "note", "x")
        await tab.open(f"/queues/shop:note/tasks/{task_id}")
        await tab.page.get_by_role("button", name="Cancel").click()
        await tab.said(f"cancelled the task {task_id}")
        assert await status(served, "shop:note", task_id) is Status.CANCELLED

    async def test_a_delayed_one_runs_now(self, served: Board, tab: Tab) -> None:
        task_id = await send(served, "note", "x", delay=600)
        await tab.open(f"/queues/shop:note/tasks/{task_id}")
        await tab.page.get_by_role("button", name="Run now").click()
        await tab.said("it is pending now")
        assert await status(served, "shop:note", task_id) is Status.PENDING

    async def test_a_dead_one_runs_again_is_retried_and_purged(
        self, served: Board, tab: Tab
    ) -> None:
        first, second = await fail(served, -1, -2)
        await tab.open(f"/queues/shop:checkout/tasks/{first}")
        await expect(tab.page.get_by_text("Traceback", exact=True)).to_be_visible()
        await tab.page.get_by_role("button", name="Run again").click()
        await expect(tab.page.locator("h1 .id")).not_to_have_text(first)
        await tab.open(f"/queues/shop:checkout/tasks/{first}")
        await tab.page.get_by_role("button", name="Retry").click()
        await tab.said(f"retried the dead task {first}")
        assert await status(served, "shop:checkout", first) is Status.PENDING
        await tab.open(f"/queues/shop:checkout/tasks/{second}")
        await tab.page.get_by_role("button", name="Purge").click()
        await tab.said("purged the dead letter")
        assert await served.broker.dead_letters("shop:checkout") == []

    async def test_it_is_sent_with_other_arguments(self, served: Board, tab: Tab) -> None:
        task_id = await send(served, "checkout", 7)
        await tab.open(f"/queues/shop:checkout/tasks/{task_id}")
        await tab.page.get_by_role("link", name="Edit and send").click()
        await tab.page.get_by_label("order").fill("eight")
        await tab.page.get_by_label("express").select_option("true")
        await tab.page.get_by_role("button", name="Send").click()
        await expect(tab.page.get_by_role("alert").first).to_contain_text("argument 'order'")
        await expect(tab.page.get_by_label("express")).to_have_value("true")
        await tab.page.get_by_label("order").fill("8")
        await tab.page.get_by_role("button", name="Send").click()
        await expect(tab.page.locator("h1 .id")).not_to_have_text(task_id)
        new = await tab.page.locator("h1 .id").inner_text()
        body = await served.broker.body("shop:checkout", new)
        assert body == b'[[],{"order":8,"email":"","express":true}]'

    async def test_its_command_is_copied(self, served: Board, tab: Tab) -> None:
        await tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        task_id = await send(served, "note", "it's")
        await tab.open(f"/queues/shop:note/tasks/{task_id}")
        await tab.page.get_by_text("As a command").click()
        await tab.page.get_by_role("button", name="Copy").click()
        await expect(tab.page.get_by_role("button", name="Copied")).to_be_visible()
        copied = await tab.page.evaluate("navigator.clipboard.readText()")
        assert copied == (await tab.page.locator("#command").inner_text()).strip()
        assert copied.startswith("ltq send ")


class TestDead:
    async def test_the_ticked_are_retried(self, served: Board, tab: Tab) -> None:
        first, second = await fail(served, -1, -2)
        await tab.open("/dead")
        await tab.page.get_by_label(f"Choose {first}").check()
        await tab.page.get_by_role("button", name="Retry the chosen").click()
        await tab.said("retried 1 dead letter")
        (left,) = await served.broker.dead_letters("shop:checkout")
        assert left.id == second

    async def test_all_that_match_are_purged_after_a_question(
        self, served: Board, tab: Tab
    ) -> None:
        await fail(served, -1, -2)
        await tab.open("/dead")
        await tab.page.get_by_role("link", name="ValueError: order -… is negative").click()
        await tab.page.get_by_role("link", name="Purge all that match").click()
        await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Purge 2 dead letters?")
        await tab.page.get_by_role("button", name="Purge 2").click()
        await tab.said("purged 2 dead letters")
        assert await served.broker.dead_letters("shop:checkout") == []

    async def test_one_tick_chooses_all_of_the_page(self, served: Board, tab: Tab) -> None:
        await fail(served, -1, -2)
        await tab.open("/dead")
        await tab.page.get_by_label("Choose all on this page").check()
        await tab.page.get_by_role("button", name="Purge the chosen").click()
        await tab.said("purged 2 dead letters")


async def test_a_schedule_is_paused_resumed_and_run(served: Board, tab: Tab) -> None:
    await tab.open("/schedules")
    await tab.page.get_by_role("button", name="Pause").click()
    await tab.said("paused the schedule tidy")
    await tab.page.get_by_role("button", name="Resume").click()
    await tab.said("resumed the schedule tidy")
    await tab.page.get_by_role("button", name="Run now").click()
    await tab.said("ran the schedule tidy now")
    assert (await served.broker.stats(["shop:tidy"]))[0].pending == 1
