"""A queue: its tasks by status, page by page, and what happened in the last hour."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from ltq._display.encoded import Encoded
from ltq.broker.flows import waits_for_others
from ltq.state import Minute, Page, Status, TaskDetail
from ltq.web._pages.page import Ask, check_queue

_TABS = ("", *(status.value for status in Status))
_ROWS = 50


async def read_queue(ask: Ask) -> dict[str, Any]:
    """One page of the tasks that match the filters of the address."""
    queue, status = ask.path["queue"], ask.get("status")
    await check_queue(ask, queue)
    status = status if status in _TABS else ""
    filters = {"status": status, "task": ask.get("task"), "tag": ask.get("tag")}
    snapshot, minutes, page = await asyncio.gather(
        ask.readings.snapshot.get(),
        ask.readings.history(queue).get(),
        ask.readings.bounded(_tasks(ask, queue, filters)),
    )
    return {
        "now": snapshot.now,
        "queue": queue,
        "stats": snapshot.queue(queue),
        "tabs": _TABS,
        "filters": filters,
        "cursor": ask.get("cursor"),
        "page": page,
        "rows": [(task, _arguments(ask, task), _result(ask, task)) for task in page.items],
        "minutes": minutes,
        "ended": _ended(minutes),
        "series": _series(minutes),
        "is_shared": ":" not in queue,
    }


async def _tasks(ask: Ask, queue: str, filters: dict[str, str]) -> Page[TaskDetail]:
    return await ask.board.broker.tasks(
        queue,
        status=filters["status"] or None,
        task_name=filters["task"] or None,
        tag=filters["tag"] or None,
        limit=_ROWS,
        cursor=ask.get("cursor") or None,
    )


def _arguments(ask: Ask, task: TaskDetail) -> str:
    if waits_for_others(task):
        return "waits for other tasks"
    if task.body is None:
        return ""
    return ask.viewer.line(task.task_name, Encoded(task.body, task.serializer))


def _result(ask: Ask, task: TaskDetail) -> str:
    """The result of a task that has one."""
    if task.result in (None, b"null"):
        return ""
    return ask.viewer.result_line(task.task_name, Encoded(task.result, task.serializer))


def _ended(minutes: Sequence[Minute]) -> dict[str, int]:
    names = ("completed", "failed", "rejected", "cancelled", "retried")
    return {name: sum(getattr(one, name) for one in minutes) for name in names}


def _series(minutes: Sequence[Minute]) -> str:
    """What the charts draw, as JSON: columns, the times first."""
    return json.dumps(
        [
            [one.time for one in minutes],
            [one.completed for one in minutes],
            [one.failed + one.rejected for one in minutes],
            [one.wait.p95 for one in minutes],
            [one.run.p95 for one in minutes],
        ]
    )
