"""The call of `tasks`, which lists tasks of a group."""

from typing import ClassVar, NamedTuple

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Bounded
from ltq.brokers.redis._server.call import Reply
from ltq.state import TaskDetail


class TasksReply(NamedTuple):
    """Tasks of a group."""

    start: str
    """When the run of pages began, in Unix seconds."""
    items: list[TaskDetail]
    looked: int
    """How many tasks were looked at."""
    is_large: bool
    """Whether the reply is as large as it may be."""
    total: int
    """How many tasks the counted groups have."""
    position: tuple[str | int, ...]
    """That of the last one looked at: line, index, moment, ids. Empty at the end of the group."""


class TasksCall(Bounded[TasksReply], frozen=True, kw_only=True):
    """List tasks of one group."""

    name: ClassVar[str] = "tasks"

    queue: str
    group: str
    statuses: str
    task_name: str = ""
    tag: str = ""
    limit: int
    most_looked: int
    start: str = ""
    counted: str = ""
    line: str = ""
    index: int = 0
    moment: str = ""
    ids: list[str]

    def read(self, reply: Reply) -> TasksReply:
        start, tasks, looked, is_large, total, position = reply
        details = (replies.task_detail(name.decode(), *rest) for name, *rest in tasks)
        line, index, moment, *ids = position or (None, 0, b"")
        texts = [one.decode() for one in ids]
        return TasksReply(
            start.decode(),
            [detail for detail in details if detail is not None],
            looked,
            is_large == 1,
            total,
            () if line is None else (line.decode(), index, moment.decode(), *texts),
        )
