"""`ltq check`: a probe for containers. It prints one line and exits with 0 or 1."""

import asyncio
import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import click

from ltq.broker import standstill_text, unserved_text
from ltq.cli._broker import open_broker
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._options import MIN_TIMEOUT, broker_url_option, duration, duration_from, json_option
from ltq.errors import BrokerError
from ltq.logger import printable

_MAX_REPLY = 65_536
"""Most bytes that are read of a reply."""


@click.command()
@click.option(
    "--health-url",
    "urls",
    multiple=True,
    metavar="URL",
    help="Ask a process of `ltq run --health-port` instead of the broker. May be repeated.",
)
@click.option(
    "--max-wait",
    type=duration,
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Without --health-url: fail if a task that is due waits longer than TIME, and none of its "
    "queue runs or no live worker has served the queue for TIME.",
)
@click.option(
    "--alive", is_flag=True, help="Without --health-url: fail as well if no worker is alive."
)
@click.option(
    "--timeout",
    type=duration_from(MIN_TIMEOUT),
    default="5",
    show_default=True,
    metavar="TIME",
    help="How long to wait for the answer.",
)
@json_option
@broker_url_option
def check(
    urls: tuple[str, ...],
    max_wait: float,
    alive: bool,
    timeout: float,
    as_json: bool,
    broker_url: str | None,
) -> None:
    """Check whether workers consume. The exit code is 0 if they do, else 1.

    With --health-url it asks the worker's process. Without it, it asks the broker, which must
    answer; no queue may stand still. A paused queue does not count as one, but it is named. A store
    without due tasks is healthy even if no worker is alive, unless --alive is given. A worker that
    was killed counts as alive until its lease ends.

    \b
    Examples:
      ltq check --health-url http://127.0.0.1:8080
      ltq check --broker-url redis://localhost:6379 --max-wait 10m
    """
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise WrongUseError(f"--health-url {url!r} must begin with http:// or https://")
    try:
        if urls:
            text = "; ".join([_check_process(url, timeout) for url in urls])
        else:
            text = asyncio.run(_check_broker(broker_url, max_wait, timeout, alive=alive))
    except (CommandError, BrokerError) as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "text": str(error)}))
        raise
    click.echo(json.dumps({"ok": True, "text": text}) if as_json else f"ok: {text}")


def _check_process(url: str, timeout: float) -> str:
    """Ask a worker's process. Raises `CommandError` if it does not answer or is not healthy."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=timeout) as response:
            return _summary(response.read(_MAX_REPLY))
    except HTTPError as error:
        with error:
            raise CommandError(f"{url}: {_summary(error.read(_MAX_REPLY))}") from error
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        text = reason.strerror if isinstance(reason, OSError) else reason
        raise CommandError(f"{url} does not answer: {text or reason}") from error


def _summary(body: bytes) -> str:
    try:
        workers = json.loads(body)["workers"]
        return ", ".join(_worker_text(worker) for worker in workers)
    except (ValueError, TypeError, KeyError):
        return "the answer does not come from `ltq run --health-port`"


def _worker_text(health: dict[str, Any]) -> str:
    text = f"{health['worker']}: {health['status']}"
    if "running" in health:
        text += f", {health['running']} running, claimed {health['claimed_ago']} s ago"
    return printable(text)


async def _check_broker(url: str | None, max_wait: float, timeout: float, *, alive: bool) -> str:
    """Ask the broker. Raises `CommandError` or `BrokerError` if something is wrong."""
    async with open_broker(url) as broker:
        try:
            async with asyncio.timeout(timeout):
                await broker.ping()
                queues = await broker.stats(await broker.queues())
        except TimeoutError:
            raise CommandError(f"{broker.url} did not answer within {timeout:g} s") from None
    for queue in queues:
        standstill = standstill_text(queue, max_wait)
        if not standstill and (queue.unserved_oldest or 0.0) > max_wait:
            standstill = unserved_text(queue)
        if standstill:
            raise CommandError(standstill)
    paused = ", ".join(queue.queue for queue in queues if queue.paused)
    is_alive = any(queue.is_served for queue in queues)
    if alive and not is_alive:
        raise CommandError("no worker is alive")
    text = f"{broker.url} answers; queues: {len(queues)}, none stands still"
    text += f"; paused: {paused}" if paused else ""
    return text if is_alive or not queues else f"no worker is alive; {text}"
