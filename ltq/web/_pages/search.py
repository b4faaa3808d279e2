"""Search: a task by its id or the beginning of it, and tasks by a text in their arguments."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ltq._display.encoded import Encoded
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter
from ltq.names import is_name
from ltq.state import QueueStats, Status, TaskDetail, TaskState
from ltq.web._pages.page import Ask

_MOST_LOOKED_AT = 5000
"""Tasks that one search looks at."""

_SECONDS = 2.0
"""For how long it looks at most."""

_MOST_FOUND = 100
_STEP = 250
_IN_A_ROW = 10
"""Tasks that are looked at before the event loop goes on with something else."""

_BEFORE, _LONGEST = 60, 160
"""Characters of an excerpt before what was found, and in all."""


class Hit(NamedTuple):
    """A task that matches."""

    id: str
    queue: str
    task_name: str
    status: Status
    time: float | None
    excerpt: str = ""
    """A part of its arguments, or of its error if that matches."""
    where: str = "id"
    """What of it matches."""


class Looked(NamedTuple):
    """How far a search came."""

    hits: list[Hit]
    looked_at: int
    is_whole: bool
    """Whether it has looked at everything."""


async def read_search(ask: Ask) -> dict[str, Any]:
    """What is found, and how much was looked at."""
    text = ask.get("q")[:200]
    snapshot = await ask.readings.snapshot.get()
    queues = [one.queue for one in snapshot.queues if text and text.lower() in one.queue.lower()]
    exact = [] if not is_name(text) else await ask.readings.bounded(_exact(ask, text))
    looked = Looked([], 0, True)
    if text and not exact:
        looked = await _look(ask, text, list(snapshot.queues))
    known = sum(one.pending + one.delayed + one.working + one.dead for one in snapshot.queues)
    return {
        "now": snapshot.now,
        "q": text,
        "queues": queues[:20],
        "hits": [*exact, *looked.hits],
        "looked_at": looked.looked_at,
        "total": max(known, looked.looked_at),
        "is_whole": looked.is_whole,
        "is_exact": bool(exact),
    }


async def _exact(ask: Ask, task_id: str) -> list[Hit]:
    """The task with this id, in any queue."""
    state = await ask.board.broker.find(task_id)
    if state is not None and is_name(state.queue):
        hit = _hit_of_state(state)
        return [hit._replace(excerpt=_excerpt(state.error or "", ""))]
    with suppress(TaskNotFoundError):
        letter = await ask.board.broker.dead_letter(None, task_id)
        hit = _hit_of_letter(ask, letter, "id")
        return [hit._replace(excerpt=_excerpt(hit.excerpt, ""))]
    return []


async def _look(ask: Ask, text: str, queues: list[QueueStats]) -> Looked:
    """Look through the tasks of all queues, a part of each, until the time is up."""
    hits: list[Hit] = []
    looked_at, ends, is_whole = 0, time.monotonic() + _SECONDS, True
    for place, queue in enumerate(queues):
        share = max(1, (_MOST_LOOKED_AT - looked_at) // (len(queues) - place))
        seen = 0
        async for hit in _walk(ask, text.lower(), queue, min(_STEP, share)):
            seen += 1
            if isinstance(hit, Hit):
                hits.append(hit)
            if seen % _IN_A_ROW == 0:
                await asyncio.sleep(0)  # large ones take a while, and others must go on
            if seen >= share or len(hits) >= _MOST_FOUND or time.monotonic() > ends:
                is_whole = False
                break
        looked_at += seen
        if len(hits) >= _MOST_FOUND or looked_at >= _MOST_LOOKED_AT or time.monotonic() > ends:
            is_whole = is_whole and place == len(queues) - 1
            break
    return Looked(hits, looked_at, is_whole)


async def _walk(
    ask: Ask, text: str, queue: QueueStats, step: int
) -> AsyncGenerator[Hit | None, None]:
    """For each task and dead letter of a queue, the hit, or None if it does not match.

    So many are read at once: with all that they carry, so no more than are looked at.
    """
    broker, seen, cursor = ask.board.broker, set[str](), ""
    while True:
        page = await ask.readings.bounded(
            broker.tasks(queue.queue, limit=step, cursor=cursor or None)
        )
        for task in page.items:
            seen.add(task.id)
            yield _match_task(ask, text, task)
        if page.cursor is None:
            break
        cursor = page.cursor
    for offset in range(0, queue.dead, step):
        for letter in await ask.readings.letters(queue.queue, limit=step, offset=offset):
            if letter.id not in seen:
                yield _match_letter(ask, text, letter)


def _match_task(ask: Ask, text: str, task: TaskDetail) -> Hit | None:
    shown = ""
    if task.body is not None:
        shown = ask.viewer.whole_line(task.task_name, Encoded(task.body, task.serializer))
    return _match(text, _hit_of_state(task), shown, task.error or "", task.tags)


def _match_letter(ask: Ask, text: str, letter: DeadLetter) -> Hit | None:
    hit = _hit_of_letter(ask, letter, "")
    return _match(text, hit, hit.excerpt, letter.error or "", letter.tags)


def _match(text: str, hit: Hit, shown: str, error: str, tags: Sequence[str]) -> Hit | None:
    """The hit with what of it matches; None if nothing does.

    Only what a page shows is looked at: what is redacted cannot be found.
    """
    places = {"arguments": shown, "task": hit.task_name, "tags": " ".join(tags), "error": error}
    where = "id" if hit.id.lower().startswith(text) else ""
    where = where or next((one for one, value in places.items() if text in value.lower()), "")
    if not where:
        return None
    seen = error if where == "error" else shown
    return hit._replace(where=where, excerpt=_excerpt(seen, text))


def _excerpt(value: str, text: str) -> str:
    """A part of a value with the text in it, if it is there."""
    start = max(0, value.lower().find(text) - _BEFORE)
    start = 0 if start + len(text) < _LONGEST else start
    part = value[start : start + _LONGEST]
    return f"{'…' if start else ''}{part}{'…' if start + _LONGEST < len(value) else ''}"


def _hit_of_state(state: TaskState[bytes]) -> Hit:
    moment = state.release_time or state.last_dequeue_time or state.enqueue_time
    return Hit(state.id, state.queue, state.task_name, state.status, moment)


def _hit_of_letter(ask: Ask, letter: DeadLetter, where: str) -> Hit:
    shown = ""
    if letter.body is not None:
        shown = ask.viewer.whole_line(letter.task_name, Encoded(letter.body, letter.serializer))
    return Hit(letter.id, letter.queue, letter.task_name, letter.status, letter.time, shown, where)
