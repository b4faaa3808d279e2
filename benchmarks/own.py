"""Running LTQ's own measures, in this process."""

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from benchmarks.comparison import prepare
from benchmarks.measures import MEASURES
from benchmarks.stand import Figures, Stand

PATIENCE = 300.0
"""Seconds that a full measure may take."""

loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
run: Callable[[Awaitable[Any]], Any] = importlib.import_module(loop).run


def measure(name: str, url: str, scale: float = 1.0) -> Figures:
    """One run of one measure, on an emptied server."""
    figures: Figures = run(_measure(name, url, scale))
    return figures


async def _measure(name: str, url: str, scale: float) -> Figures:
    client = redis.asyncio.Redis.from_url(url, protocol=2)
    try:
        await prepare(client)
        async with asyncio.timeout(30 + PATIENCE * scale):
            return await MEASURES[name](Stand(url, client, scale))
    finally:
        await client.aclose()


def shown(figures: Figures) -> str:
    """On one line."""
    return "   ".join(
        f"{key} {value:,.3g}" if value < 100 else f"{key} {value:,.0f}"
        for key, value in figures.items()
    )
