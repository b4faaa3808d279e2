"""Fixtures of the tests in a browser: one browser for all of them, in one event loop."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

import ltq
from devtools.browsers import open_browser
from devtools.programs import find_chromium
from tests.web.boards import Board, open_board
from tests.web.browser.tabs import Tab, address_of, open_tab


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of this process."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no chromium on PATH")
    async with open_browser(executable) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def served(shop: ltq.Worker[Any]) -> AsyncIterator[Board]:
    """The dashboard of the shop, in the event loop of the browser."""
    async with open_board(shop) as board:
        yield board


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def only_tab(browser: Browser) -> AsyncIterator[Tab]:
    """One tab for many tests: to open one takes as long as some of them."""
    async with open_tab(browser, "") as tab:
        yield tab


@pytest_asyncio.fixture(loop_scope="session")
async def tab(only_tab: Tab, served: Board) -> AsyncIterator[Tab]:
    """A tab before the dashboard of the shop, as if it were new."""
    only_tab.at = address_of(served)
    yield only_tab
    await only_tab.forget()
