"""The end of what runs in the background."""

import asyncio
from collections.abc import Iterable
from typing import Any


async def cancel_all(futures: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel what still runs, and wait until it has given up; what it raises is dropped."""
    futures = list(futures)
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)
