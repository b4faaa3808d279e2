"""A page: what it reads, and how it answers, whole or as a stream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from ltq._display.suggestions import near_names
from ltq.web._source.live import TICK
from ltq.web._source.readings import Readings
from ltq.web._source.site import Board, Site
from ltq.web._view.values import Viewer
from ltq.web.access import Level


class MissingError(Exception):
    """There is no such thing. The page says so, and what may have been meant."""

    def __init__(self, text: str, links: Mapping[str, str] | None = None) -> None:
        """`links` are paths within the dashboard by what they lead to."""
        super().__init__(text)
        self.links = dict(links or {})


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of a page."""

    site: Site
    board: Board
    readings: Readings
    viewer: Viewer
    path: Mapping[str, str]
    """The variable parts of the address."""
    query: Mapping[str, str]
    can_write: bool

    def get(self, name: str) -> str:
        """A value of the query, without spaces around it; empty if it is not there."""
        return self.query.get(name, "").strip()

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the query, from 0 on."""
        text = self.get(name)
        return min(int(text), most) if text.isdecimal() and len(text) < 10 else min(default, most)


class Reads(Protocol):
    """Reads what a page shows: the context of its template. Raises `MissingError`."""

    async def __call__(self, ask: Ask, /) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Page:
    """One kind of page."""

    path: str
    """Behind the key of the broker, such as `/queues/{queue}`."""
    template: str
    read: Reads
    every: float = TICK
    """Seconds between two readings while somebody looks; 0 if it is not live."""
    needs: Level = "read"
    """What one must be allowed to do to see it."""


async def check_queue(ask: Ask, queue: str) -> None:
    """Raise `MissingError` for a queue that the broker does not know."""
    if await ask.readings.knows(queue):
        return
    names = [one.queue for one in (await ask.readings.snapshot.get()).queues]
    near = near_names(queue, names)
    raise MissingError(
        f"There is no queue “{queue}” in {ask.board.url}.",
        {f"the queue {name}": f"/{ask.board.key}/queues/{name}" for name in near},
    )


def no_task(ask: Ask, task_id: str) -> NoReturn:
    """Raise `MissingError` for a task."""
    raise MissingError(
        f"There is no task “{task_id}”: its id is unknown, or its state has expired. Final states "
        "are kept for the task's result_ttl.",
        {"search for it": f"/{ask.board.key}/search?q={task_id[:200]}"},
    )
