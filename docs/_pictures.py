"""Makes the pictures of the README and the pages: `python -m docs._pictures`.

They are of the real thing: `ltq demo --web` in a browser, `ltq demo` on a terminal; each in light
and in dark. It takes three minutes, and needs a `chromium` on the `PATH`. The texts depend on
chance and on the machine, so no test compares the pictures with what this makes.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page

from devtools.browsers import open_browser
from devtools.programs import find_chromium
from docs._terminal import show

IMAGES = Path(__file__).parent / "img"
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
LARGEST = 200_000
"""Bytes that a picture may have."""

_SCALE = 1.5
_SIZE = (1180, 740)
_OPEN_FOR = 130.0
"""Seconds that the shop is open before: by then the bank was away twice."""

_FOLDER = "/usr/share/zoneinfo"
"""What `ltq demo` reads: it is on every machine, and has many files."""

_DEMO = ["-m", "ltq", "demo", _FOLDER, "--for", "5s"]


async def main() -> None:
    """Make all of them."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("there is no chromium on the PATH")
    terminal = await asyncio.to_thread(
        show,
        [sys.executable, *_DEMO],
        shown=f"ltq demo {_FOLDER}",
        env={**os.environ, "TMPDIR": "/tmp"},
        columns=100,
        lines=60,
    )
    async with open_browser(chromium) as browser, _shop() as url:
        await _take_terminal(browser, terminal)
        await asyncio.sleep(_OPEN_FOR)
        await _take_dashboard(browser, url)
    for path in sorted(IMAGES.glob("*.png")):
        size = path.stat().st_size
        sys.stdout.write(f"{path.name}: {size} bytes\n")
        if size > LARGEST:
            raise SystemExit(f"{path.name} is too large: {LARGEST} bytes at most")


@asynccontextmanager
async def _shop() -> AsyncIterator[str]:
    """`ltq demo --web` as long as the block runs; the URL that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ltq",
        "demo",
        "--web",
        env={**os.environ, "TMPDIR": "/tmp", "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if found := re.fullmatch(r"  (http://\S+/)\n", line.decode()):
                yield found[1]
                break
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


async def _take_terminal(browser: Browser, html: str) -> None:
    for scheme in SCHEMES:
        page = await _new_page(browser, scheme)
        await page.set_content(html)
        path = IMAGES / f"demo-{scheme}.png"
        await page.locator("body").screenshot(path=path, omit_background=True)
        await page.context.close()


async def _take_dashboard(browser: Browser, url: str) -> None:
    """The overview, and a queue."""
    pages = {scheme: await _new_page(browser, scheme) for scheme in SCHEMES}
    for scheme, page in pages.items():
        await page.goto(f"{url}shop/")
        await _take(page, f"dashboard-{scheme}.png")
        await page.goto(f"{url}shop/queues/shop:charge")
        await page.locator(".uplot").nth(1).wait_for()
        await _take(page, f"queue-{scheme}.png")
        await page.context.close()


async def _take(page: Page, name: str) -> None:
    await page.get_by_text("Live", exact=True).wait_for()
    await page.screenshot(path=IMAGES / name)


async def _new_page(browser: Browser, scheme: Literal["light", "dark"]) -> Page:
    context = await browser.new_context(
        viewport={"width": _SIZE[0], "height": _SIZE[1]},
        device_scale_factor=_SCALE,
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    return await context.new_page()


if __name__ == "__main__":
    asyncio.run(main())
