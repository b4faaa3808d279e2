"""Below a prefix: behind proxies that take it away or leave it, and twice in one application."""

from typing import Any

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Response, expect
from starlette.middleware import Middleware
from starlette.types import ASGIApp

import ltq
from ltq.web import dashboard
from ltq.web._app import make_app
from ltq.web._door.gate import AuthorizeGate
from ltq.web._door.paths import PrefixMiddleware
from ltq.web._source.site import make_site
from tests.web.boards import serve
from tests.web.browser.reverse_proxy import reverse_proxy
from tests.web.browser.tabs import Tab, open_tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PREFIX = "/ops/ltq"


async def use(tab: Tab, root: str) -> None:
    """Go around by links, live, and act: nothing is asked for that is not there."""
    wrong: list[str] = []

    def check(answer: Response) -> None:
        if answer.status >= 400 or not answer.url.startswith(root):
            wrong.append(f"{answer.status} {answer.url}")

    tab.page.on("response", check)
    await tab.page.goto(f"{root}/")
    await tab.live()
    for name in ("Dead letters", "Workers", "Schedules", "Overview"):
        await tab.page.get_by_role("navigation").get_by_role("link", name=name).click()
    await tab.page.get_by_role("link", name="shop:note").click()
    await tab.page.get_by_role("button", name="Pause").click()
    await tab.said("paused the queue shop:note")
    await tab.live()
    await tab.page.locator("a.id").click()
    await tab.page.get_by_role("button", name="Cancel").click()
    await tab.said("cancelled the task")
    await tab.live()
    assert wrong == []


@pytest.mark.parametrize("strips", [True, False], ids=["stripping", "leaving"])
async def test_behind_a_proxy(browser: Browser, shop: ltq.Worker[Any], strips: bool) -> None:
    await shop.tasks["shop:note"].send("x")
    app: ASGIApp = dashboard(shop, authorize=None)
    if not strips:
        site = make_site([shop], read_only=False, redact=None)
        app = make_app(
            site, AuthorizeGate(None), around=[Middleware(PrefixMiddleware, prefix=PREFIX)]
        )
    async with (
        serve(app) as inner,
        reverse_proxy(inner, PREFIX, strips=strips) as outer,
        open_tab(browser, outer) as tab,
    ):
        await use(tab, f"{outer}{PREFIX}")


async def test_two_in_one_application(browser: Browser, shop: ltq.Worker[Any]) -> None:
    other: ltq.Worker[Any] = ltq.Worker("mail", broker_url="memory://mail-in-browser")
    app = FastAPI()
    app.mount("/one", dashboard(shop, authorize=None))
    app.mount("/deep/two", dashboard(other, authorize=lambda _: "read"))
    await shop.tasks["shop:note"].send("x")
    async with serve(app) as url, open_tab(browser, url) as tab, open_tab(browser, url) as second:
        await second.page.goto(f"{url}/deep/two")
        await second.live()
        await use(tab, f"{url}/one")
        await expect(second.page.locator(".empty")).to_contain_text("There are no queues yet")
        await expect(second.page.get_by_text("read only")).to_be_visible()
        assert await second.is_same()
