"""One tab of the browser, and what went wrong in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, expect

from tests.web.boards import Board

PATIENCE = 20_000
"""Milliseconds."""

WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 360, "height": 740}

expect.set_options(timeout=PATIENCE)


@dataclass
class Tab:
    """A tab that shows pages of a dashboard."""

    page: Page
    at: str
    """The address of the broker's pages, without the last slash."""
    problems: list[str] = field(default_factory=list)
    """Errors of scripts, and what the Content-Security-Policy has refused."""

    async def open(self, path: str) -> None:
        """Go to a page of the broker."""
        await self.page.goto(f"{self.at}{path}")

    async def live(self) -> None:
        """Wait until the page is live. From here on it may not be loaded again unnoticed."""
        await expect(self.page.locator("#live")).to_have_text("Live")
        await self.page.evaluate("window.isSame = true")

    async def is_same(self) -> bool:
        """Whether the page was not loaded again since `live`."""
        return bool(await self.page.evaluate("window.isSame === true"))

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def press_until(self, key: str, name: str) -> None:
        """Press a key until what has the focus has this name: its text or its label."""
        seen: list[str] = []
        for _ in range(60):
            seen.append(await self.page.evaluate(_NAME_OF_FOCUS))
            if seen[-1] == name:
                return
            await self.page.keyboard.press(key)
        raise AssertionError(f"{key} never leads to {name!r}, but to {seen}")

    async def said(self, text: str) -> None:
        """Wait for what a page says of an action."""
        await expect(self.page.locator(".banner[role=status]")).to_contain_text(text)

    async def forget(self) -> None:
        """Leave the page, and all that it has left. Its problems fail the test."""
        found, self.problems[:] = list(self.problems), []
        await self.page.goto("about:blank")
        await self.page.context.clear_cookies()
        await self.page.context.clear_permissions()
        assert found == [], found

    def note(self, message: ConsoleMessage) -> None:
        """Keep an error of the console. That a request has failed is no error of the page."""
        if message.type == "error" and not message.text.startswith(_FAILED_REQUESTS):
            self.problems.append(message.text)


_FAILED_REQUESTS = ("Failed to load resource", "htmx: htmx:sse:error: ")

_NAME_OF_FOCUS = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || one.textContent.trim();
}"""


def address_of(board: Board) -> str:
    """The address of a broker's pages, without the last slash."""
    return f"{str(board.client.base_url).rstrip('/')}/{board.key}"


@asynccontextmanager
async def open_tab(browser: Browser, at: str, **options: Any) -> AsyncIterator[Tab]:
    """Open a tab in a window of its own. Any error of a script or of the CSP fails the test."""
    given = {"viewport": WIDE, "reduced_motion": "reduce", **options}
    context = await browser.new_context(**given)
    context.set_default_timeout(PATIENCE)
    try:
        page = await context.new_page()
        tab = Tab(page, at)
        page.on("console", tab.note)
        page.on("pageerror", lambda error: tab.problems.append(str(error)))
        yield tab
        await tab.forget()
    finally:
        await context.close()
