"""What workers cost that have nothing to do, or no server."""

import asyncio

from devtools.chaos.figures.goal import Goal
from devtools.chaos.redis_stage import RedisStage

_SETTLED = 5.0
_WORKERS = 4
_COMMANDS, _CONNECTS, _LINES = 2.0, 5.0, 1.0


async def idle(seconds: float) -> list[Goal]:
    """Calls of idle workers, then attempts to connect and log lines of one without a server."""
    async with RedisStage(arguments=()) as stage:
        workers = await stage.start_workers(_WORKERS, stage.proxy.url)
        await asyncio.sleep(_SETTLED)
        stage.proxy.commands.clear()
        await asyncio.sleep(seconds)
        counted = stage.proxy.commands.copy()
        for worker in workers[1:]:
            await worker.kill()
        connected, lines = len(stage.proxy.accepted), len(workers[0].lines())
        stage.proxy.mode = "reset"
        stage.proxy.reset_all()
        await asyncio.sleep(seconds)
        tried = len(stage.proxy.accepted) - connected
        told = len(workers[0].lines()) - lines
    return [
        Goal("seconds", seconds),
        Goal("commands a second and worker", counted.total() / seconds / _WORKERS, _COMMANDS),
        Goal("which", ", ".join(f"{name} {n}" for name, n in counted.most_common())),
        Goal("attempts to connect a second, server away", tried / seconds, _CONNECTS),
        Goal("log lines a second, server away", told / seconds, _LINES),
    ]
