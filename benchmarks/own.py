"""Running LTQ's own measures, in this process."""

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from benchmarks.comparison import prepare
from benchmarks.measures import MEASURES
from benchmarks.stand import Figures, RedisStand

PATIENCE = 300.0
"""Seconds that a full measure may take."""

loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
run: Callable[[Awaitable[Any]], Any] = importlib.import_module(loop).run


def measure(name: str, url: str, scale: float = 1.0) -> Figures:
    """One run of one measure, on an emptied server."""
    return limited(_measure(name, url, scale), scale)


def limited(figures: Awaitable[Figures], scale: float) -> Figures:
    """Run a measure, within the time that it may take."""
    found: Figures = run(_limited(figures, scale))
    return found


async def _limited(figures: Awaitable[Figures], scale: float) -> Figures:
    async with asyncio.timeout(30 + PATIENCE * scale):
        return await figures


async def _measure(name: str, url: str, scale: float) -> Figures:
    client = redis.asyncio.Redis.from_url(url, protocol=2)
    try:
        await prepare(client)
        return await MEASURES[name](RedisStand(url, scale, client=client))
    finally:
        await client.aclose()


def shown(figures: Figures) -> str:
    """On one line."""
    return "   ".join(
        f"{key} {value:,.3g}" if value < 100 else f"{key} {value:,.0f}"
        for key, value in figures.items()
    )
