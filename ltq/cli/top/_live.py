"""The live screen: it is redrawn for each key, each snapshot, and each size of the terminal."""

import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live

from ltq._aio.service import first_of
from ltq.broker import Broker
from ltq.cli._live.keys import keyboard
from ltq.cli.top._screen import Screen
from ltq.cli.top._snapshot import read_snapshot
from ltq.errors import BrokerError

_TICK = 0.5
"""Seconds between two looks at the size of the terminal, and at how long the broker is silent."""

_SLOW = 3.0
"""Seconds without an answer after which the screen says so."""


async def show_live(
    console: Console, brokers: Mapping[str, Broker], errors: Mapping[str, str], every: float
) -> None:
    """Show brokers, by name, until `q`, Ctrl-C or SIGTERM. Then the terminal is as it was.

    `errors` says which names stand for no broker.
    """
    shown = Shown(brokers, every, errors=errors)
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):
            loop.add_signal_handler(getattr(signal, name), shown.ended.set)
    with suppress(NotImplementedError, AttributeError):
        loop.add_signal_handler(signal.SIGWINCH, shown.stale.set)
    with (
        Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
        keyboard(shown.press),
    ):
        reads = [shown.read(name) for name in brokers]
        await first_of(shown.ended.wait(), *reads, shown.draw(live), name="ltq-top")


class Shown:
    """The screen, and what changes it."""

    def __init__(
        self,
        brokers: Mapping[str, Broker],
        every: float,
        *,
        errors: Mapping[str, str] | None = None,
        patience: float = _SLOW,
    ) -> None:
        """They are read `every` few seconds; after `patience` seconds without an answer it is told.

        A name is empty for the only broker.
        """
        self.ended = asyncio.Event()
        self.stale = asyncio.Event()
        self._brokers = brokers
        self._every = every
        self._patience = patience
        names = [*brokers, *(errors or {})]
        title = " ".join(names) if any(names) else next(iter(brokers.values())).url
        self.screen = Screen(title, errors=dict(errors or {}))
        self._answered = dict.fromkeys(brokers, time.monotonic())
        self._refused: set[str] = set()
        """Those whose last call failed: the error says more than how long they are silent."""

    def press(self, key: str) -> None:
        """A key was pressed."""
        if self.screen.press(key):
            self.ended.set()
        self.stale.set()

    async def read(self, name: str) -> None:
        """Read a broker again and again. While it is away, the last snapshot stays."""
        while True:
            try:
                self.screen.snapshots[name] = await read_snapshot(self._brokers[name])
            except BrokerError as error:
                self._refused.add(name)
                self.screen.errors[name] = str(error)
            else:
                self._refused.discard(name)
                self.screen.errors.pop(name, None)
                self._answered[name] = time.monotonic()
            self.stale.set()
            await asyncio.sleep(self._every)

    async def draw(self, live: Live) -> None:
        """Draw the screen whenever it is stale."""
        while True:
            self._tell_silence()
            self.stale.clear()
            width, height = live.console.size
            lines = self.screen.lines(width, height)
            live.update(Group(*lines), refresh=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self.stale.wait()

    def _tell_silence(self) -> None:
        for name, broker in self._brokers.items():
            silent = time.monotonic() - self._answered[name]
            if silent > self._every + self._patience and name not in self._refused:
                self.screen.errors[name] = f"no answer from {broker.url} for {silent:.0f} s"
