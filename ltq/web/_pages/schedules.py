"""The schedules: when they ran, when they run next, and what they send."""

import asyncio
from typing import Any

from ltq.web._pages.page import Ask


async def read_schedules(ask: Ask) -> dict[str, Any]:
    """Those that the broker keeps, and those that the code here declares."""
    schedules, snapshot = await asyncio.gather(
        ask.readings.schedules.get(), ask.readings.snapshot.get()
    )
    here = {one.name for one in ask.board.scheduler.schedules}
    return {
        "now": snapshot.now,
        "schedules": sorted(schedules, key=lambda one: (one.paused, one.next or 0.0, one.name)),
        "can_trigger": here | {one.name for one in schedules if one.origin == "put"},
        "has_code": bool(ask.board.workers),
    }
