"""Listing the tasks of a queue, page by page."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from ltq._display.values import short_repr
from ltq.broker.selection import TaskFilter
from ltq.errors import ConfigurationError
from ltq.names import check_name, check_tag
from ltq.state import Page, Status, TaskDetail

MAX_PAGE = 1000
"""Most tasks of a page."""

Position = tuple[str | int | float, ...]
"""Where a page begins, as the broker itself wants to know it. Numbers are finite."""

GROUPS = (Status.PENDING, Status.DELAYED, Status.WORKING, None)
"""The groups of a list, in its order; None stands for all final statuses."""


class Listing(Protocol):
    """Lists tasks."""

    async def tasks(
        self,
        queue: str,
        *,
        status: Status | str | Iterable[Status | str] | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[TaskDetail]:
        """Up to `limit` (1 to 1000) tasks of a queue, from a cursor of the same query on.

        Only those with this status, or one of these, of this task and with this tag. They come in
        four groups:

        1. PENDING, in the order of claiming: strictly by priority, and within one lane by lane, the
           queue's own first and then the others by name (claims let lanes take turns).
        2. DELAYED, by their due times.
        3. WORKING, by the ends of their leases.
        4. Final, the newest first: those whose states are kept, or only the `MAX_FINAL` newest.

        A page may have fewer tasks than `limit`, or none, and a cursor: if the filters match little
        or the tasks are large. It is the last one only if `cursor` is None.
        A run of pages shows what has been where it is since the first page: what comes later, or
        comes back, is for another run, and what has left before it is reached is not shown. So no
        task is shown twice, with few exceptions: one that a claim moves to another lane meanwhile;
        one that runs, as each heartbeat moves the end of its lease; and pending ones that were sent
        together with the last ones of a page, if those are cancelled meanwhile.
        Raises `ConfigurationError` for a wrong name, status, tag or limit, for a cursor of another
        query, and for what is no cursor.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery(TaskFilter):
    """What a call of `tasks` asks for, checked. `task_query` makes it."""

    queue: str
    statuses: frozenset[Status]
    """Those that match: all, if the call named none."""
    limit: int
    position: Position = ()
    """Where the page begins: what a broker gave to `cursor`, or empty for the first page."""

    def groups(self) -> Iterator[tuple[Status | None, frozenset[Status]]]:
        """The groups that it asks for, in their order, each with the statuses that match there."""
        final = frozenset(status for status in self.statuses if status.is_final)
        for group in GROUPS:
            wanted = final if group is None else self.statuses & {group}
            if wanted:
                yield group, wanted

    @property
    def has_total(self) -> bool:
        """Whether counts that every broker has are the total: no task needs a look."""
        are_all = self.task_name is None and self.tag is None
        return are_all and not any(status.is_final for status in self.statuses)

    def cursor(self, *position: str | float) -> str:
        """The cursor of a page that begins there."""
        data = msgspec.json.encode([self._fingerprint(), *position])
        check = binascii.crc32(data).to_bytes(4)
        return urlsafe_b64encode(check + data).rstrip(b"=").decode()

    def from_cursor(self, cursor: str) -> "TaskQuery":
        """The same query from a cursor on. Raises `ConfigurationError`."""
        fingerprint, *position = _read(cursor)
        if fingerprint != self._fingerprint():
            raise ConfigurationError(
                f"cursor {short_repr(cursor)} belongs to another query: give it with the same "
                "queue, status, task_name and tag"
            )
        return replace(self, position=tuple(position))

    def _fingerprint(self) -> int:
        words = [self.queue, *sorted(self.statuses), f"/{self.task_name or ''}/{self.tag or ''}"]
        return binascii.crc32("\n".join(words).encode())


def task_query(
    queue: str,
    status: Status | str | Iterable[Status | str] | None = None,
    task_name: str | None = None,
    tag: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> TaskQuery:
    """The arguments of `tasks` as one value. Raises `ConfigurationError` as `tasks` does."""
    check_name("queue", queue)
    if task_name is not None:
        check_name("task", task_name)
    if tag is not None:
        check_tag(tag)
    query = TaskQuery(
        queue=queue,
        statuses=_statuses(status),
        task_name=task_name,
        tag=tag,
        limit=_page_size(limit),
    )
    return query if cursor is None else query.from_cursor(cursor)


def _page_size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_PAGE:
        return value
    raise ConfigurationError(
        f"limit={short_repr(value)} is not allowed: a whole number from 1 to {MAX_PAGE}"
    )


def _statuses(status: Any) -> frozenset[Status]:
    if status is None:
        return frozenset(Status)
    is_one = isinstance(status, str | bytes) or not isinstance(status, Iterable)
    wanted = frozenset(map(_status, [status] if is_one else status))
    if wanted:
        return wanted
    raise ConfigurationError("status=[] is not allowed: one or more of them, or None for all")


def _status(value: Any) -> Status:
    try:
        return Status(value)
    except ValueError:
        raise ConfigurationError(
            f"status={short_repr(value)} is not allowed: {', '.join(Status)}"
        ) from None


def _read(cursor: Any) -> list[str | int | float]:
    """What a cursor holds. Raises `ConfigurationError` if it is none, or was changed."""
    if isinstance(cursor, str) and cursor.isascii():
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            check, data = raw[:4], raw[4:]
            is_whole = urlsafe_b64encode(raw).rstrip(b"=") == cursor.encode()
            if is_whole and binascii.crc32(data).to_bytes(4) == check:
                return msgspec.json.decode(data, type=list[str | int | float])
        except (ValueError, msgspec.MsgspecError):
            pass
    raise ConfigurationError(
        f"cursor {short_repr(cursor)} is not allowed: the `cursor` of a page, as it was"
    )
