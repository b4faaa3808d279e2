"""`ltq repair`: what has stood still goes on."""

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

import click

from ltq._flow.apart import LEFT_AFTER, carry_found
from ltq._flow.cut import CUT_AFTER, cancel_cut
from ltq.broker import Broker
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
    """Put lost tasks back into their queues, and carry workflows on, of these workers or of all.

    An eviction, a partial restore or a deleted key can leave a task in no list of its queue. Then
    nothing would ever claim or recover it. Workers repair their queues every 10 minutes. This
    command reads all tasks, in small steps, and puts such tasks back into their queues.

    It also carries on workflows, and sends messages of `send_after`, where a worker died between a
    task and what follows it. Other workers do so within seconds, but only while one of the same
    name runs. Workflows whose start was cut more than 10 minutes ago are cancelled: they wait for a
    node that was never sent. Repairing twice does no harm.

    \b
    Example:
      ltq repair github
    """
    for name in workers:
        check_name("worker", name)
    repaired, unknown = asyncio.run(_repair(workers, broker_url))
    if as_json:
        click.echo(json.dumps({name: one._asdict() for name, one in repaired.items()}))
    else:
        for name, one in repaired.items():
            click.echo(f"{name}: {_text(one)}")
    if unknown is not None:
        raise unknown
    if not (repaired or as_json):
        click.echo("no queues yet")


class _Repaired(NamedTuple):
    """What a repair did for a worker."""

    tasks: int
    """How many were requeued."""
    endings: int
    """How many were carried on."""
    left: int
    """How many endings had to stay, as the broker is away, or refuses what follows."""
    cut: int
    """How many workflows were cancelled whose start was cut."""


def _text(repaired: _Repaired) -> str:
    did: list[str] = []
    if repaired.tasks:
        did.append(f"{count_tasks(repaired.tasks)} requeued")
    if repaired.endings:
        did.append(f"carried workflows on after {_count(repaired.endings, 'ended task')}")
    if repaired.left:
        did.append(f"could not carry workflows on after {_count(repaired.left, 'ended task')}")
    if repaired.cut:
        did.append(f"cancelled {_count(repaired.cut, 'workflow')} whose start was cut")
    return ", ".join(did) or "nothing to repair"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


async def _repair_one(broker: Broker, name: str) -> _Repaired:
    tasks = await broker.repair([name])
    found = await carry_found(broker, name, older_than=LEFT_AFTER)
    queues = [queue for queue in await broker.queues() if namespace_of(queue) == name]
    cut = await cancel_cut(broker, queues, before=await broker.time() - CUT_AFTER)
    return _Repaired(tasks, found.number, sum(len(left.endings) for left in found.lefts), cut)


async def _repair(
    workers: Sequence[str], url: str | None
) -> tuple[dict[str, _Repaired], CommandError | None]:
    """Return what was done for each worker, and the error for unknown ones.

    A worker that is unknown because its keys were lost is known again if there is anything of it.
    """
    async with open_broker(url) as broker:
        known = sorted({namespace_of(queue) for queue in await broker.queues()})
        names = dict.fromkeys(workers) or known
        repaired = {name: await _repair_one(broker, name) for name in names}
    unknown = [name for name, one in repaired.items() if not any(one) and name not in known]
    for name in unknown:
        del repaired[name]
    return repaired, unknown_names("worker", unknown, known) if unknown else None
