"""All pages: readable by everybody, no wider than the screen, and hostile texts are text."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import ltq
from ltq.testing import FlakyBroker
from ltq.web._app import make_app
from ltq.web._door.gate import AuthorizeGate
from ltq.web._door.passwords import Passwords
from ltq.web._door.sessions import PasswordGate
from ltq.web._source.site import make_site
from tests.web.boards import Board, open_board, serve
from tests.web.browser.full_shop import FullShop, open_full_shop
from tests.web.browser.tabs import NARROW, WIDE, Tab, address_of, open_tab
from tests.web.shop import make_shop

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

AXE = Path(__file__).with_name("axe") / "axe.min.js"
RULES: dict[Literal["light", "dark"], list[str]] = {
    "light": [],
    "dark": ["color-contrast", "link-in-text-block"],
}
"""What axe-core looks at: all of it once, and by another light what depends on colours."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full() -> AsyncIterator[FullShop]:
    """The shop that has everything, for all tests of this file; they change nothing."""
    async with open_full_shop() as full:
        yield full


async def check_page(page: Page) -> None:
    """No violation of axe-core's rules in light and dark, and nothing to be scrolled sideways."""
    await page.evaluate(AXE.read_text("utf-8"))
    for width in (NARROW, WIDE):
        await page.set_viewport_size(width)  # type: ignore[arg-type]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width["width"], f"{page.url} is {wide} wide"
    for scheme, rules in RULES.items():
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await page.evaluate(_RUN, rules)
        assert found["passes"] > 0
        assert found["violations"] == [], f"{page.url} in {scheme}"


_RUN = """async (rules) => {
  const options = {resultTypes: ["violations"], ...(rules.length ? {runOnly: rules} : {})};
  const found = await axe.run(document, options);
  const nodes = (one) => one.nodes.map((node) => [node.html.slice(0, 300), node.failureSummary]);
  const violations = found.violations.map((one) => [one.id, nodes(one)]);
  return {violations, passes: found.passes.length};
}"""


ADA = (
    "$argon2id$v=19$m=64,t=1,p=1$R1055OZQx5GoH0RQfj51Yw$coXYuUp+NVni/axOi1jv565S2GudiJxE6sn9qvuiVMQ"
)
"""A hash of `lovelace` that is quick to check."""

PATHS = [
    "/",
    "/?find=nothing",
    "/queues/shop:note",
    "/queues/shop:checkout?status=failed",
    "/queues/shop:note?status=completed&tag=none",
    "waiting",
    "delayed",
    "running",
    "completed",
    "failed",
    "hostile",
    "workflow",
    "waiting/edit",
    "/dead",
    "/dead?task=shop:fail",
    "/dead/confirm?do=purge&task=shop:fail",
    "/workers",
    "/schedules",
    "/search",
    "/search?q=pneumo",
    "/queues/nope",
]


def path_of(full: FullShop, name: str) -> str:
    kind, slash, rest = name.partition("/")
    return full.task(kind, slash + rest) if kind else name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def over(browser: Browser, full: FullShop) -> AsyncIterator[Tab]:
    """One tab that goes from page to page."""
    async with open_tab(browser, address_of(full.board)) as tab:
        yield tab


@pytest.mark.parametrize("name", PATHS)
async def test_a_page_is_fit_for_everybody(full: FullShop, over: Tab, name: str) -> None:
    await over.open(path_of(full, name))
    if await over.page.locator("#live").count():
        await over.live()
    await check_page(over.page)
    assert await over.page.evaluate("window.hacked") is None
    assert await over.page.locator(".hostile").count() == 0
    assert over.problems == []


async def test_a_hostile_text_is_read_as_it_is(browser: Browser, full: FullShop) -> None:
    shown = "<img src=x onerror='window.hacked = 2'>\"&{{7*7}}<b class=hostile>"
    async with open_tab(browser, address_of(full.board)) as tab:
        for name in ("waiting", "completed", "hostile", "running", "/queues/shop:note", "/dead"):
            await tab.open(path_of(full, name))
            await tab.live()
            assert shown.partition(">")[0] in await tab.page.locator("main").inner_text(), name
        await tab.open(full.task("waiting", "/edit"))
        assert shown in await tab.page.locator("#arg-text").input_value()
        assert await tab.page.evaluate("window.hacked") is None


async def test_empty_pages_are_fit_for_everybody(browser: Browser, served: Board) -> None:
    async with open_tab(browser, address_of(served)) as tab:
        for path in ("/", "/dead", "/workers"):
            await tab.open(path)
            await tab.live()
            await expect(tab.page.locator(".empty")).to_be_visible()
            await check_page(tab.page)


async def test_pages_of_a_broker_that_is_away_are_too(browser: Browser) -> None:
    worker: ltq.Worker[Any] = make_shop("memory://away")
    worker.broker = flaky = FlakyBroker(worker.broker)
    flaky.fail()
    async with open_board(worker) as board, open_tab(browser, address_of(board)) as tab:
        await tab.open("/")
        await expect(tab.page.get_by_role("heading", level=1)).to_have_text(
            "The broker does not answer"
        )
        await expect(tab.page.locator("#away")).to_be_visible()
        await check_page(tab.page)


async def test_the_list_of_brokers_and_the_sign_in_are_too(
    browser: Browser, shop: ltq.Worker[Any]
) -> None:
    other: ltq.Worker[Any] = ltq.Worker("mail", broker_url="memory://other-store")
    site = make_site([shop, other], read_only=False, redact=None)
    async with serve(make_app(site, AuthorizeGate(None))) as url, open_tab(browser, url) as tab:
        await tab.open("/")
        await expect(tab.page.get_by_role("heading", level=1)).to_contain_text("Brokers")
        await check_page(tab.page)
    gate = PasswordGate(Passwords(lambda: {"ada": ADA}))
    async with serve(make_app(site, gate)) as url, open_tab(browser, url) as tab:
        await tab.open("/other-store/dead")
        await check_page(tab.page)
        await sign_in(tab, "wrong")
        await expect(tab.page.get_by_role("alert")).to_be_visible()
        await check_page(tab.page)
        await sign_in(tab, "lovelace")
        await expect(tab.page.get_by_role("heading", level=1)).to_contain_text("Dead letters")
        await tab.live()
        await check_page(tab.page)
        await tab.page.get_by_role("button", name="Sign out").click()
        await tab.page.wait_for_url("**/login**")


async def sign_in(tab: Tab, password: str) -> None:
    await tab.page.get_by_label("Name").fill("ada")
    await tab.page.get_by_label("Password").fill(password)
    await tab.page.get_by_role("button", name="Sign in").click()


async def test_without_scripts_pages_are_read_and_forms_work(
    browser: Browser, served: Board
) -> None:
    await served.worker.tasks["shop:note"].send("x")
    async with open_tab(browser, address_of(served), java_script_enabled=False) as tab:
        await tab.open("/queues/shop:note")
        await expect(tab.page.get_by_role("link", name="Reload")).to_be_visible()
        await tab.page.get_by_role("button", name="Pause").click()
        await tab.said("paused the queue shop:note")
