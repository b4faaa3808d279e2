"""`ltq repair`: put tasks that are in no list back into their queues."""

import asyncio
import json
from collections.abc import Sequence

import click

from ltq.cli._broker import open_broker
from ltq.cli._console import count_tasks
from ltq.cli._errors import CommandError
from ltq.cli._known import unknown_names
from ltq.cli._options import broker_url_option, json_option
from ltq.names import check_name, namespace_of


@click.command()
@click.argument("workers", nargs=-1, metavar="[WORKER]...")
@json_option
@broker_url_option
def repair(workers: tuple[str, ...], as_json: bool, broker_url: str | None) -> None:
    """Put tasks that are in no list back into their queues, for these workers or for all.

    An eviction, a partial restore or a deleted key can leave a task in no list of its queue. Then
    nothing would ever claim or recover it. Workers repair their queues every 10 minutes. This
    command reads all tasks, in small steps. Repairing twice does no harm.

    \b
    Example:
      ltq repair github
    """
    for name in workers:
        check_name("worker", name)
    repaired, unknown = asyncio.run(_repair(workers, broker_url))
    if as_json:
        click.echo(json.dumps(repaired))
    else:
        for name, count in repaired.items():
            what = f"{count_tasks(count)} put back" if count else "nothing to repair"
            click.echo(f"{name}: {what}")
    if unknown is not None:
        raise unknown
    if not (repaired or as_json):
        click.echo("no queues yet")


async def _repair(
    workers: Sequence[str], url: str | None
) -> tuple[dict[str, int], CommandError | None]:
    """Return how many tasks were put back for each worker, and the error for unknown ones.

    A worker that is unknown because its keys were lost is known again if there is anything of it.
    """
    async with open_broker(url) as broker:
        known = sorted({namespace_of(queue) for queue in await broker.queues()})
        names = dict.fromkeys(workers) or known
        repaired = {name: await broker.repair([name]) for name in names}
    unknown = [name for name, count in repaired.items() if not count and name not in known]
    for name in unknown:
        del repaired[name]
    return repaired, unknown_names("worker", unknown, known) if unknown else None
