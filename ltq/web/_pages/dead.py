"""Dead letters: grouped by task and error, and one group's letters."""

from dataclasses import dataclass
from typing import Any

from ltq.message import DeadLetter
from ltq.web._pages.page import Ask, check_queue
from ltq.web._source.faults import fault_of
from ltq.web._source.letters import Wanted, ids_of, letters_of

_MOST_LOOKED_AT = 2000
"""Letters that one page looks at."""

_ROWS = 50


@dataclass(slots=True)
class Group:
    """Letters of one task with the same error."""

    task_name: str
    fault: str
    count: int
    newest: DeadLetter
    oldest: DeadLetter


async def read_dead(ask: Ask) -> dict[str, Any]:
    """The groups among the newest letters, and the letters that match the address."""
    wanted = await wanted_of(ask)
    queues = await queues_of(ask, wanted)
    groups, matching, looked_at = await _look(ask, wanted, queues)
    first = ask.number("offset", 0, _MOST_LOOKED_AT)
    return {
        "now": await ask.readings.now(),
        "wanted": wanted,
        "filters": wanted.filters,
        "total": sum(count for _, count in queues),
        "looked_at": looked_at,
        "groups": sorted(groups, key=lambda one: -one.newest.time),
        "letters": matching[first : first + _ROWS],
        "matching": len(matching),
        "offset": first,
        "rows": _ROWS,
    }


async def read_confirm(ask: Ask) -> dict[str, Any]:
    """How many letters match, before anything is done to them."""
    wanted = await wanted_of(ask)
    do = "retry" if ask.get("do") == "retry" else "purge"
    queues = await queues_of(ask, wanted)
    if wanted.is_all:
        count = sum(many for _, many in queues)
    else:
        found = await ids_of(ask.readings, queues, wanted)
        count = sum(map(len, found.values()))
    return {
        "now": await ask.readings.now(),
        "wanted": wanted,
        "filters": wanted.filters,
        "do": do,
        "count": count,
    }


async def wanted_of(ask: Ask) -> Wanted:
    """Which letters the address means. Raises `MissingError` for an unknown queue."""
    wanted = Wanted(ask.get("queue"), ask.get("task"), ask.get("fault"))
    if wanted.queue:
        await check_queue(ask, wanted.queue)
    return wanted


async def queues_of(ask: Ask, wanted: Wanted) -> list[tuple[str, int]]:
    """The queues that are meant and have letters, and how many."""
    queues = (await ask.readings.snapshot.get()).queues
    return [(one.queue, one.dead) for one in queues if one.dead and wanted.queue in ("", one.queue)]


async def _look(
    ask: Ask, wanted: Wanted, queues: list[tuple[str, int]]
) -> tuple[list[Group], list[DeadLetter], int]:
    """The groups, the letters that match, and how many letters were looked at.

    Each queue gets its share, so that one with many does not hide the others.
    """
    groups: dict[tuple[str, str], Group] = {}
    matching: list[DeadLetter] = []
    looked_at = 0
    for position, (queue, count) in enumerate(queues):
        share = (_MOST_LOOKED_AT - looked_at) // (len(queues) - position)
        if share <= 0:
            break
        seen = 0
        async for letter in letters_of(ask.readings, [(queue, min(count, share))]):
            if seen >= share:
                break
            seen += 1
            _add(groups, letter)
            if wanted.matches(letter):
                matching.append(letter)
        looked_at += seen
    matching.sort(key=lambda one: -one.time)
    return list(groups.values()), matching, looked_at


def _add(groups: dict[tuple[str, str], Group], letter: DeadLetter) -> None:
    key = letter.task_name, fault_of(letter.error)
    group = groups.setdefault(key, Group(*key, 0, letter, letter))
    group.count += 1
    if letter.time > group.newest.time:
        group.newest = letter
    if letter.time < group.oldest.time:
        group.oldest = letter
