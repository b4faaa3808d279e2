"""What a run may leave behind: in the server, and in the workers' logs."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import redis

from devtools.chaos import jobs
from devtools.chaos.load import Notes
from devtools.workers import WorkerProcess
from ltq.broker import Broker
from ltq.brokers import redis as redis_broker
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.state import Status

_TABLE = Path(redis_broker.__file__).parent / "lua" / "README.md"

_NAMESPACES = (jobs.NAME, jobs.BEYOND)

_IDLE = (
    "ltq:namespaces",
    *(
        f"{keys.prefix(name)}{kind}"
        for name in _NAMESPACES
        for kind in ("lanes", "served", "wake:", "workers")
    ),
)
"""What keys that stay without a TTL begin with, once nothing is left to do."""

_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT", re.MULTILINE)
_BAD = ("Traceback (most recent call last)", "never retrieved", "was destroyed but it is pending")
_THEIRS = ("devtools/chaos/jobs.py", "WantedError")


def bounded_keys(table: Path = _TABLE) -> list[re.Pattern[str]]:
    """The keys that may be there without a TTL, as the table of all keys says."""
    patterns = []
    for line in table.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 5 and cells[5].startswith("bounded"):
            for name in _NAMESPACES:
                whole = cells[1].strip("`").replace("…", keys.prefix(name))
                parts = [re.escape(part) for part in re.split(r"<\w+>", whole)]
                patterns.append(re.compile("(.+)".join(parts)))
    return patterns


def keys_without_end(client: redis.Redis) -> list[str]:
    """The keys that have no TTL."""
    keys = [key.decode("utf-8", "replace") for key in client.scan_iter(count=1000)]
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.ttl(key)
    return [key for key, ttl in zip(keys, pipe.execute(), strict=True) if ttl == -1]


def left_in(client: redis.Redis) -> list[str]:
    """Keys that should not be there when all is done."""
    bounded, left = bounded_keys(), []
    for key in keys_without_end(client):
        if not any(pattern.fullmatch(key) for pattern in bounded):
            left.append(f"{key} has no TTL and is not known as bounded")
        elif not key.startswith(_IDLE):
            left.append(f"{key} is left, with nothing to do")
    return left


async def left_by_count(broker: Broker) -> list[str]:
    """Queues that say there is something left to do."""
    stats = await broker.stats(await broker.queues())
    return [
        f"{one.queue}: {one.pending} pending, {one.delayed} delayed, {one.working} working"
        for one in stats
        if one.pending or one.delayed or one.working
    ]


async def left_endings(broker: Broker) -> list[str]:
    """Namespaces in which somebody still has to carry workflows on."""
    queues = [f"{name}:any" for name in _NAMESPACES]
    left = [(queue, len(await broker.endings(queue))) for queue in queues]
    return [f"{count} endings are left beside {queue}" for queue, count in left if count]


_DYING = ("toxic", "broken")
"""The sorts of tasks that end as dead letters."""


async def misplaced_dead_letters(broker: Broker, notes: Notes) -> list[str]:
    """Tasks that died without a dead letter, and dead letters of tasks that should live.

    A send that nobody acknowledged may have arrived: its dead letter is allowed, not required.
    Whether a task that was rejected should have been, the audit judges.
    """
    stats = await broker.stats(await broker.queues())
    found = {
        dead_letter.id: dead_letter.queue
        for one in stats
        for dead_letter in await broker.dead_letters(one.queue, limit=10_000)
    }
    required = {sent.id for sent in notes.sent.values() if sent.sort.name in _DYING}
    unsure = {one for one in {*notes.refused, *notes.in_flight} if one.startswith(_DYING)}
    lacking = sorted(required - found.keys())
    rejected = {one for one, state in notes.answers.items() if state.status is Status.REJECTED}
    excess = sorted(found.keys() - required - unsure - rejected)
    return [f"{one} has no dead letter" for one in lacking] + [
        f"{one} is a dead letter of {found[one]}" for one in excess
    ]


def complaints(workers: Iterable[WorkerProcess]) -> Iterator[str]:
    """Tracebacks in the workers' logs that are no task's own."""
    for worker in workers:
        log = worker.log()
        cuts = [match.start() for match in _STAMP.finditer(log)]
        for begin, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
            record = log[begin:end]
            if any(bad in record for bad in _BAD) and not any(own in record for own in _THEIRS):
                yield f"worker {worker.pid} logged: {record[-1500:].strip()}"
