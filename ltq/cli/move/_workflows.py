"""Tasks that are not moved, as they are part of workflows.

What a task of a workflow leaves behind when it ends, and what has arrived at those that wait for
it, is in the store where the workflow was sent. So there it has to end, all of it.
"""

from dataclasses import dataclass, field

from ltq._flow.values import flow_of
from ltq.broker import MAX_PAGE, Broker
from ltq.broker.flows import is_in_flow
from ltq.state import Status

_NAMED = 5
"""Most workflows that are named."""


@dataclass(slots=True)
class InWorkflows:
    """Tasks and dead letters that are part of workflows."""

    ids: set[str] = field(default_factory=set)
    """Those of the tasks."""
    workflows: set[str] = field(default_factory=set)
    """The ids of the workflows."""

    def has(self, task_id: str, ctx: bytes) -> bool:
        """Whether a task with this `ctx` is part of one. If it is, it is noted."""
        if not is_in_flow(ctx):
            return False
        flow = flow_of(ctx)
        self.ids.add(task_id)
        self.workflows.add(task_id if flow is None else flow.end)
        return True

    @property
    def names(self) -> str:
        """Some of the workflows."""
        named = sorted(self.workflows)[:_NAMED]
        more = len(self.workflows) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")


async def look_for_workflows(source: Broker, queue: str) -> dict[Status, InWorkflows]:
    """What of a queue is part of workflows: what waits, by its status, and dead letters, as FAILED.

    All tasks are read.
    """
    found = {status: InWorkflows() for status in (Status.PENDING, Status.DELAYED, Status.FAILED)}
    for status in (Status.PENDING, Status.DELAYED):
        cursor, has_more = None, True
        while has_more:
            page = await source.tasks(queue, status=status, limit=MAX_PAGE, cursor=cursor)
            for one in page.items:
                found[status].has(one.id, one.ctx)
            cursor, has_more = page.cursor, page.cursor is not None
    offset = 0
    while letters := await source.dead_letters(queue, limit=MAX_PAGE, offset=offset):
        for parcel in await source.pack_dead(queue, [one.id for one in letters]):
            if parcel is not None:
                found[Status.FAILED].has(parcel.envelope.id, parcel.envelope.ctx)
        offset += len(letters)
    return found
