"""`ltq run`: a worker or an App, until it is told to stop."""

from functools import partial
from typing import Any

import click

from ltq.cli._completion.targets import complete_target
from ltq.cli._options import (
    MIN_TIMEOUT,
    broker_url_option,
    duration,
    duration_from,
    log_format_option,
    log_level_option,
)
from ltq.cli.run._asked import Asked, load_target, run_asked
from ltq.cli.run._interpreter import own_command


@click.command()
@click.argument(
    "target",
    metavar="[MODULE:WORKER]",
    required=False,
    shell_complete=complete_target("Worker", "App"),
)
@click.option(
    "--app",
    is_flag=False,
    flag_value="",
    metavar="[MODULE:APP]",
    shell_complete=complete_target("App"),
    help="Run an App with all its workers.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many tasks run at once. Overrides the worker's own value.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Run N processes. One that ends unexpectedly is started again.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve Prometheus metrics on PORT. With --processes, each takes a port from PORT on.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to serve metrics on; 0.0.0.0 is every address of this machine.",
)
@click.option("--metrics-ports", type=click.IntRange(min=1), default=1, hidden=True)
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve over HTTP whether workers consume. With --processes, each takes a port from PORT.",
)
@click.option(
    "--health-host",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="The address to serve health on.",
)
@click.option(
    "--health-within",
    type=duration_from(MIN_TIMEOUT),
    default="30",
    show_default=True,
    metavar="TIME",
    help="A worker with free slots is healthy if its last claim was within TIME.",
)
@click.option("--health-ports", type=click.IntRange(min=1), default=1, hidden=True)
@click.option(
    "--reload/--no-reload",
    "reloads",
    help="Restart when a .py file under the current directory changes. For development.",
)
@click.option("--burst", is_flag=True, help="Exit when no task is due or running.")
@click.option(
    "--with-scheduler", is_flag=True, help="Also run the workers' @worker.cron schedules."
)
@click.option(
    "--wait-for-broker",
    "patience",
    type=duration,
    default="30",
    show_default=True,
    metavar="TIME",
    help="Wait up to TIME at the start for a broker that does not answer yet.",
)
@click.option(
    "--log-completed",
    is_flag=True,
    help="Log each task that completes, with its duration, at level info instead of debug.",
)
@log_level_option
@log_format_option
@broker_url_option
def run(**options: Any) -> None:
    """Run a worker, or an App, until SIGTERM or Ctrl-C.

    MODULE is imported with the current directory on the path. On a signal, running tasks get the
    worker's shutdown_timeout to end; the rest are requeued. A second signal requeues them at once.
    It waits for a broker that does not answer yet, but not for one that refuses the password.
    --broker-url overrides the URL in the code.

    \b
    Examples:
      ltq run jobs:worker --concurrency 20
      ltq run jobs:worker --processes 4
      ltq run jobs:worker --metrics-port 9100 --health-port 8080
      ltq run jobs:worker --with-scheduler
      ltq run jobs:worker --reload
      ltq run --app jobs:app --burst
    """
    asked = Asked(**options)
    run_asked(asked, partial(load_target, asked), own_command)
