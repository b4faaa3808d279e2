"""A real browser for tests and for the pictures of the docs: the Chromium of the machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It shows nothing, runs as root in containers, and asks nobody for anything."""


@asynccontextmanager
async def open_browser(executable: str) -> AsyncIterator[Browser]:
    """Run it while the block runs."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()
