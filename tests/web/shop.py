"""A worker with tasks of all kinds, on a broker of its own for each test."""

from typing import Any, Literal

import ltq


def make_shop(url: str) -> ltq.Worker[Any]:
    """The worker. Each task is `shop:NAME`."""
    worker: ltq.Worker[Any] = ltq.Worker("shop", broker_url=url, concurrency=4)

    @worker.task(max_tries=1)
    async def checkout(order: int, *, email: str = "", express: bool = False) -> dict[str, Any]:
        if order < 0:
            raise ValueError(f"order {order} is negative")
        return {"order": order, "email": email}

    @worker.task
    async def note(text: str, level: Literal["low", "high"] = "low") -> str:
        return text

    @worker.task(tags=("tenant:7",))
    async def resize(sizes: list[int], /, *rest: int, **more: str) -> int:
        return len(sizes) + len(rest)

    @worker.cron("0 3 * * *", name="tidy")
    @worker.task
    async def tidy() -> None: ...

    del checkout, note, resize, tidy
    return worker
