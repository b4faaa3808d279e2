"""`ltq check`: a probe for containers. Exit code 0 or 1, and one line."""

import asyncio
import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import click

from ltq.broker import stands_still
from ltq.cli._errors import CommandError, WrongUseError
from ltq.cli._options import broker_url_option, duration, json_option, open_broker
from ltq.errors import BrokerError
from ltq.logger import printable

_LARGEST = 65_536


@click.command()
@click.option(
    "--health-url",
    "urls",
    multiple=True,
    metavar="URL",
    help="What `ltq run --health-port` serves; for several processes give several.",
)
@click.option(
    "--max-wait",
    type=duration,
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Without --health-url: how long a task may wait while none of its queue runs.",
)
@click.option(
    "--timeout",
    type=duration,
    default="5",
    show_default=True,
    metavar="TIME",
    help="How long the answer may take.",
)
@json_option
@broker_url_option
def check(
    urls: tuple[str, ...], max_wait: float, timeout: float, as_json: bool, broker_url: str | None
) -> None:
    """Tell whether a worker consumes, by the exit code: 0 if all is well, else 1.

    With --health-url the worker's process is asked. Without it the broker is: that it answers, and
    that no queue stands still.

    \b
    Examples:
      ltq check --health-url http://127.0.0.1:8080
      ltq check --broker-url redis://localhost:6379 --max-wait 10m
    """
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise WrongUseError(f"--health-url {url!r} does not begin with http:// or https://")
    try:
        if urls:
            told = "; ".join([_ask(url, timeout) for url in urls])
        else:
            told = asyncio.run(_ask_broker(broker_url, max_wait, timeout))
    except (CommandError, BrokerError) as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "text": str(error)}))
        raise
    click.echo(json.dumps({"ok": True, "text": told}) if as_json else f"ok: {told}")


def _ask(url: str, timeout: float) -> str:
    """What a worker's process says of itself. Raises `CommandError` if it is not well."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=timeout) as response:
            return _summary(response.read(_LARGEST))
    except HTTPError as error:
        with error:
            raise CommandError(f"{url}: {_summary(error.read(_LARGEST))}") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{url} does not answer: {error}") from error


def _summary(body: bytes) -> str:
    try:
        workers = json.loads(body)["workers"]
        return ", ".join(_of_worker(worker) for worker in workers)
    except (ValueError, TypeError, KeyError):
        return "an answer that is not a worker's"


def _of_worker(told: dict[str, Any]) -> str:
    text = f"{told['worker']}: {told['status']}"
    if "running" in told:
        text += f", {told['running']} running, claimed {told['claimed_ago']} s ago"
    return printable(text)


async def _ask_broker(url: str | None, max_wait: float, timeout: float) -> str:
    try:
        async with asyncio.timeout(timeout), open_broker(url) as broker:
            await broker.ping()
            queues = await broker.stats(await broker.queues())
    except TimeoutError:
        raise CommandError(f"the broker did not answer within {timeout:g} s") from None
    for queue in queues:
        if (queue.oldest or 0.0) > max_wait and stands_still(queue):
            raise CommandError(
                f"{queue.queue}: {queue.pending} tasks wait, the oldest for "
                f"{queue.oldest:.0f} s, and none runs"
            )
    return f"{broker.url} answers, {len(queues)} queues, none stands still"
