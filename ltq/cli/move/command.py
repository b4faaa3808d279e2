"""`ltq move`: tasks, dead letters and schedules go to another broker."""

import asyncio
import json
from collections.abc import Sequence

import click

from ltq.broker.default import broker_at
from ltq.cli._broker import open_broker
from ltq.cli._completion.brokers import complete_broker
from ltq.cli._completion.queues import complete_queue
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._options import each_once, json_option
from ltq.cli.move import _view
from ltq.cli.move._move import Report, check_apart, look, queues_to_move
from ltq.cli.move._move import move as move_all
from ltq.cli.move._tasks import Moved


@click.command()
@click.argument("source", metavar="FROM", shell_complete=complete_broker)
@click.argument("target", metavar="TO", shell_complete=complete_broker)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="QUEUE",
    shell_complete=complete_queue,
    callback=each_once,
    help="Move this queue only. It may be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be moved.")
@json_option
@click.pass_context
def move(
    ctx: click.Context,
    source: str,
    target: str,
    queues: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move waiting tasks, dead letters and schedules from one broker to another.

    FROM and TO are URLs, or @NAME. Each task keeps its id, and all that is known of it. The queues
    are paused at FROM, and stay so. What runs there stays until it has ended: run the command again
    then. It may be stopped and repeated at any time: nothing is lost or doubled. Tasks of workflows
    stay, and are counted and named: a workflow ends where it began. Resume their queues at FROM
    until they have ended. The exit code is 1 if anything that waits was left.

    \b
    Examples:
      ltq move sqlite:///jobs.db redis://localhost:6379 --dry-run
      ltq move @old @new --queue github:fetch
    """
    if not (source and target):
        raise WrongUseError("FROM and TO are URLs, or @NAME")
    report = asyncio.run(_move(source, target, queues, dry_run=dry_run, quiet=as_json))
    if as_json:
        click.echo(json.dumps(_view.as_json_of(report)))
    else:
        _view.print_end(report, would=dry_run)
        if not report.queues:
            click.echo("no queues yet")
    _view.tell_troubles(report)
    if not (dry_run or report.is_whole):
        ctx.exit(1)


async def _move(
    source_url: str, target_url: str, named: Sequence[str], *, dry_run: bool, quiet: bool
) -> Report:
    def on_queue(moved: Moved) -> None:
        _view.erase_progress()
        if not quiet:
            _view.print_queue(moved, would=dry_run)

    if not broker_at(source_url).exists:
        raise CommandError(
            f"{broker_at(source_url).url} is not there: nothing can be moved from it"
        )
    async with open_broker(source_url) as source:
        queues = await queues_to_move(source, named)
        if dry_run:  # it writes nothing, and makes no store
            report = await look(source, queues)
            for moved in report.queues:
                on_queue(moved)
            return report
        async with open_broker(target_url) as target:
            await check_apart(source, target, queues)
            try:
                return await move_all(source, target, queues, _view.show_progress, on_queue)
            finally:
                _view.erase_progress()
