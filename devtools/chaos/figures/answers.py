"""How long it takes from a send to its result, for tasks that end at once."""

import asyncio
import time
from collections.abc import Iterator

import ltq
from devtools.chaos import jobs
from devtools.chaos.figures.goal import Goal
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import percentile, say
from devtools.chaos.stage import through

_LOOPS = 8
_PATIENCE = 30.0
_P99 = 0.02


async def instant(count: int) -> list[Goal]:
    """`send` and then `result()`, again and again, from several loops at once."""
    took: list[float] = []
    hung: list[str] = []
    async with RedisStage() as stage:
        await stage.start_workers(1, stage.server.url)
        echo = through(jobs.echo, stage.direct)
        numbers = iter(range(count))
        assert await (await echo.send(-1)).result(_PATIENCE) == -1
        await asyncio.gather(*(_ask(echo, numbers, took, hung) for _ in range(_LOOPS)))
    return [
        Goal("tasks", count),
        Goal("at once", _LOOPS),
        Goal("hung, lost or wrong", len(hung), 0),
        Goal("median (ms)", 1000 * percentile(took, 0.5)),
        Goal("p99 (ms)", 1000 * percentile(took, 0.99), 1000 * _P99),
        Goal("longest (ms)", 1000 * max(took)),
    ]


async def _ask(
    echo: ltq.Task[[int], int], numbers: Iterator[int], took: list[float], hung: list[str]
) -> None:
    for number in numbers:
        began = time.perf_counter()
        handle = await echo.send(number)
        try:
            assert await handle.result(_PATIENCE) == number
        except (ltq.LtqError, AssertionError) as error:
            hung.append(f"{handle.id}: {error!r}")
            say(hung[-1])
        took.append(time.perf_counter() - began)
        if len(took) % 2000 == 0:
            say(f"{len(took)} answered")
