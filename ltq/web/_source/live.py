"""Live pages: each is read and rendered once for all its viewers, and sent where it has changed."""

import asyncio
import hashlib
import json
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from ltq._aio.service import Service
from ltq._display.errors import name_of
from ltq.errors import BrokerError, LtqError
from ltq.logger import get_logger

TICK = 1.0
"""Seconds between two readings of a page."""

_BEAT = 5.0
"""Seconds after which a stream says that it lives, if nothing changes."""

_LONGEST = 300.0
"""Seconds after which a stream ends. The browser opens another one, which is let in again."""

_MOST_VIEWS = 500
_AT_FULL_PACE = 20
"""Different pages that are read as often as they say. More of them take turns, so that all
together cost what so many do."""

_PASSING = re.compile(r"(<time\b[^>]*>)[^<]*|\bdata-now=\S+")
"""What passes by itself in a page: the browser keeps it up to date."""

_LINES = re.compile(r"\r\n|\r|\n")

Render = Callable[[], Awaitable[str]]


@dataclass(eq=False)
class _View:
    """One page as some viewers see it."""

    render: Render
    every: float
    read_at: float = -math.inf
    """When its last reading began."""
    viewers: int = 0
    html: str = ""
    digest: bytes = b""
    version: int = 0
    away: str = ""
    """The event that says since when the broker is away; empty while it answers."""
    away_since: float = 0.0
    is_over: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Replaced by a new one at each change."""
    is_read: bool = False
    """Whether it is being read now."""

    def tell(self) -> None:
        """There is something new: wake the viewers."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()


class LivePages(Service):
    """The poller of one dashboard in one event loop. It works while somebody looks."""

    def __init__(self) -> None:
        super().__init__("ltq-web-poller", get_logger("web"))
        self._views: dict[Hashable, _View] = {}
        self._nudged = asyncio.Event()

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return sum(view.viewers for view in self._views.values())

    def end_streams(self) -> None:
        """End all streams soon: the server stops."""
        for view in self._views.values():
            view.is_over = True
            view.tell()

    def nudge(self) -> None:
        """Something was changed: read all pages at once."""
        for view in self._views.values():
            view.read_at = -math.inf
        self._nudged.set()

    async def stream(self, key: Hashable, render: Render, every: float) -> AsyncIterator[str]:
        """The events of one viewer: the page, and then the page at each change.

        Whoever gives the same key sees the same page.
        """
        if key not in self._views and len(self._views) >= _MOST_VIEWS:
            yield _event("ltq-full", f"{_MOST_VIEWS} different pages are open already")
            await asyncio.sleep(_BEAT)  # the browser opens another stream at once
            return
        view = self._views.setdefault(key, _View(render, every))
        view.viewers += 1
        try:
            self.start()
            self._nudged.set()
            async for text in _events_of(view):
                yield text
        finally:
            view.viewers -= 1
            if not view.viewers and self._views.get(key) is view:
                del self._views[key]

    async def _run(self) -> None:
        while self._views:
            self._nudged.clear()
            now = time.monotonic()
            # One that takes long keeps no other waiting, and is not read twice at once.
            idle = [view for view in self._views.values() if not view.is_read]
            turns = max(1.0, len(self._views) / _AT_FULL_PACE)
            for view in idle:
                if view.read_at + view.every * turns <= now:
                    view.read_at, view.is_read = now, True
                    self._spawn(self._refresh(view), "page")
            left = min((one.read_at + one.every * turns for one in idle), default=now + TICK) - now
            with suppress(TimeoutError):
                async with asyncio.timeout(min(TICK, left)):
                    await self._nudged.wait()

    async def _refresh(self, view: _View) -> None:
        try:
            await self._read(view)
        finally:
            view.is_read = False
            self._nudged.set()

    async def _read(self, view: _View) -> None:
        try:
            html = await view.render()
        except LtqError as error:
            self._note_away(view, error)
            return
        except Exception as error:
            self._logger.exception("a live page failed")
            self._note_away(view, BrokerError(f"this page failed: {name_of(error)}"))
            return
        digest = hashlib.blake2b(_PASSING.sub(r"\1", html).encode(), digest_size=16).digest()
        if digest != view.digest or view.away:
            view.html, view.digest, view.away = html, digest, ""
            view.tell()

    def _note_away(self, view: _View, error: LtqError) -> None:
        if not view.away:
            view.away_since = time.time()
        away = json.dumps({"since": view.away_since, "text": str(error)[:500]})
        if away != view.away:
            view.away = away
            view.tell()


async def _events_of(view: _View) -> AsyncIterator[str]:
    """What a viewer is sent, until it has been so for long."""
    ends, seen = time.monotonic() + _LONGEST, -1
    html_seen = b""
    while time.monotonic() < ends and not view.is_over:
        changed = view.changed
        if seen != view.version and view.version:
            seen = view.version
            if view.away:
                yield _event("ltq-away", view.away)
            elif view.digest:
                if view.digest != html_seen:
                    html_seen = view.digest
                    yield _event("", view.html)
                yield _event("ltq-here", "")
        else:
            try:
                async with asyncio.timeout(_BEAT):
                    await changed.wait()
            except TimeoutError:
                yield _event("ltq-beat", "")


def _event(name: str, data: str) -> str:
    """An event of a stream. htmx puts one without a name into the page."""
    head = f"event: {name}\n" if name else ""
    lines = "".join(f"data: {line}\n" for line in _LINES.split(data))
    return f"{head}{lines}\n"
