"""`ltq tasks`: list the tasks of a queue."""

import asyncio
import json

import click

from ltq.broker import MAX_PAGE
from ltq.cli._broker import open_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._console import count_tasks, open_console, print_line
from ltq.cli._known import read_queue
from ltq.cli._options import broker_url_option, json_option
from ltq.cli.tasks import _view
from ltq.names import check_name
from ltq.state import Page, Status, TaskDetail


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@click.option(
    "--status",
    "statuses",
    type=click.Choice([status.value for status in Status]),
    multiple=True,
    help="Only tasks with this status; may be given several times.",
)
@click.option("--task", metavar="TASK", help="Only those of TASK.")
@click.option("--tag", metavar="TAG", help="Only those with TAG.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="List at most N.",
)
@click.option("--cursor", metavar="CURSOR", help="Go on where an earlier list ended.")
@json_option
@broker_url_option
def tasks(
    queue: str,
    statuses: tuple[str, ...],
    task: str | None,
    tag: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """List the tasks of a queue, with their arguments.

    First come the pending ones in the order of claiming, then the delayed ones by their due times,
    the working ones by the ends of their leases, and the final ones, the newest first. If there are
    more, the last line on stderr has the cursor for them. JSON is an object with `tasks`, `cursor`
    and `total`, which is null if it is not known.

    \b
    Examples:
      ltq tasks github:fetch --status pending --limit 10
      ltq tasks github:fetch --status failed --task github:fetch --json
      ltq tasks github:fetch --tag tenant:7
    """
    query = _Query(check_name("queue", queue), statuses, task, tag)
    page, now = asyncio.run(query.read(limit, cursor, broker_url))
    if as_json:
        listed = [_view.as_json(one) for one in page.items]
        click.echo(json.dumps({"tasks": listed, "cursor": page.cursor, "total": page.total}))
        return
    if page.items:
        _view.print_tasks(
            open_console(), page.items, now, queue=queue, has_status=len(statuses) != 1
        )
    else:
        print_line(open_console(), "no tasks match" if query.is_filter else "no tasks")
    if page.cursor is not None:
        shown = count_tasks(len(page.items))
        of = "" if page.total is None else f" of {page.total}"
        click.echo(f"ltq: {shown}{of} shown, the next with --cursor {page.cursor}", err=True)


class _Query:
    """What is listed."""

    def __init__(
        self, queue: str, statuses: tuple[str, ...], task: str | None, tag: str | None
    ) -> None:
        self._queue = queue
        self._statuses = statuses or None
        self._task = task
        self._tag = tag

    @property
    def is_filter(self) -> bool:
        """Whether it leaves tasks of the queue out."""
        return (self._statuses, self._task, self._tag) != (None, None, None)

    async def read(
        self, limit: int, cursor: str | None, url: str | None
    ) -> tuple[Page[TaskDetail], float]:
        """Return the first `limit` tasks from a cursor on, in one page, and the broker's time."""
        async with open_broker(url) as broker:
            await read_queue(broker, self._queue)
            items: list[TaskDetail] = []
            while True:
                page = await broker.tasks(
                    self._queue,
                    status=self._statuses,
                    task_name=self._task,
                    tag=self._tag,
                    limit=min(limit - len(items), MAX_PAGE),
                    cursor=cursor,
                )
                items += page.items
                cursor = page.cursor
                if cursor is None or len(items) >= limit:
                    whole = Page(items=tuple(items), cursor=cursor, total=page.total)
                    return whole, await broker.time()
