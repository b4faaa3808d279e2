"""Whether a worker that has done very much is as small as before."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devtools.chaos import jobs, remains
from devtools.chaos.figures.goal import Goal
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import say
from devtools.chaos.stage import through
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.testing.conformance._support.eventually import eventually

_BATCH = 1000
_WAITING = 10_000
_WARM = 100_000
_GROWTH = 5.0
_LEFT = 2**20
_FORGOTTEN = 30.0
_ROOM = 60.0
"""Seconds in which the worker has to take up a batch."""
"""Seconds after which what is kept for a moment only has gone."""


@dataclass(frozen=True)
class Size:
    """What a process takes."""

    rss: float
    """MiB."""
    threads: int
    files: int


def size_of(pid: int) -> Size:
    """What a process takes now."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    rss = int(fields["VmRSS"].split()[0]) / 1024
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Size(rss, int(fields["Threads"]), files)


async def memory(count: int) -> list[Goal]:
    """`count` no-ops through one worker process."""
    warm = min(_WARM, count // 2)
    sizes: list[Size] = []
    async with RedisStage(arguments=()) as stage:
        empty = _used(stage)
        (worker,) = await stage.start_workers(1, stage.server.url)
        nothing, ready = through(jobs.nothing, stage.direct), _ready_key()
        for sent in range(_BATCH, count + 1, _BATCH):
            await nothing.send_many([nothing.message() for _ in range(_BATCH)])
            await eventually(lambda: stage.admin.llen(ready) <= _WAITING, _ROOM, "room")
            if sent % warm == 0:
                sizes.append(size_of(worker.pid))
                say(f"{sent}: {sizes[-1]}")
        await eventually(lambda: not remains.left_in(stage.admin), 120.0, "an empty server")
        with suppress(AssertionError):
            await eventually(lambda: _used(stage) - empty <= _LEFT, _FORGOTTEN)
        sizes.append(size_of(worker.pid))
        say(f"at the end: {sizes[-1]}")
        keys = sorted(key.decode() for key in stage.admin.scan_iter(count=1000))
        used = _used(stage) - empty
    first, last = sizes[0], sizes[-1]
    return [
        Goal("tasks", count),
        Goal(f"resident after {warm} (MiB)", first.rss),
        Goal("resident at the end (MiB)", last.rss),
        Goal("growth (MiB)", last.rss - first.rss, _GROWTH),
        Goal("threads more", last.threads - first.threads, 0),
        Goal("open files more", last.files - first.files, 2),
        Goal("Redis used more (MiB)", used / 2**20, _LEFT / 2**20),
        Goal("keys left", ", ".join(keys)),
    ]


def _used(stage: RedisStage) -> int:
    return int(stage.admin.info("memory")["used_memory"])


def _ready_key() -> str:
    return keys.ready(jobs.NAME, jobs.nothing.queue, 1)
