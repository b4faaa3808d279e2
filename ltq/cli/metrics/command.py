"""`ltq metrics`: a broker's metrics, served or printed."""

import asyncio

import click

from ltq._aio.signals import stop_on_signals
from ltq.cli._broker import open_broker
from ltq.cli._early_signals import EarlySignals
from ltq.cli._options import (
    MIN_TIMEOUT,
    broker_url_option,
    duration_from,
    log_format_option,
    log_level_option,
)
from ltq.cli.metrics._exporter import Exporter, read, serve_page
from ltq.cli.metrics._page import page
from ltq.cli.run._address import ServerAddress
from ltq.errors import ConfigurationError
from ltq.logger import setup_logging


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve them at /metrics on PORT, until SIGTERM or Ctrl-C; 0 is any free port.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to serve on; 0.0.0.0 is every address of this machine.",
)
@click.option(
    "--timeout",
    type=duration_from(MIN_TIMEOUT),
    default="4",
    show_default=True,
    metavar="TIME",
    help="How long a request waits for the broker.",
)
@log_level_option
@log_format_option
@broker_url_option
def metrics(
    port: int | None,
    host: str,
    timeout: float,
    log_level: str,
    log_format: str,
    broker_url: str | None,
) -> None:
    """Print the metrics of all queues for Prometheus, or serve them with --port.

    No worker is needed. The broker is asked at each request; while it does not answer, ltq_up is 0
    and there are no others. Needs the extra ltq[prometheus].

    \b
    Examples:
      ltq metrics
      ltq metrics --port 9400
    """
    _check_package()
    if port is None:
        click.echo(asyncio.run(_print(broker_url, timeout)), nl=False)
        return
    address = ServerAddress("metrics", host, port)
    with EarlySignals().around():
        setup_logging(log_level, as_json=log_format == "json")
        asyncio.run(_serve(broker_url, timeout, address))


def _check_package() -> None:
    try:
        import prometheus_client  # noqa: F401  only whether it is there
    except ImportError:
        raise ConfigurationError(
            "ltq metrics needs prometheus-client: pip install 'ltq[prometheus]'"
        ) from None


async def _print(url: str | None, timeout: float) -> str:
    async with open_broker(url) as broker:
        return page(await read(broker, timeout)).decode()


async def _serve(url: str | None, timeout: float, address: ServerAddress) -> None:
    stopped = asyncio.Event()
    with stop_on_signals(lambda _: stopped.set()):
        async with open_broker(url) as broker, serve_page(Exporter(broker, timeout), address):
            await stopped.wait()
