"""`ltq web`: the dashboard, served alone."""

import asyncio
import logging
import re
import sys

import click
from click.shell_completion import CompletionItem

from ltq.cli._completion.brokers import complete_broker
from ltq.cli._completion.targets import complete_target
from ltq.cli._early_signals import EarlySignals
from ltq.cli._errors import WrongUseError, exclusive
from ltq.cli._options import log_format_option, log_level_option
from ltq.cli.run._address import ServerAddress
from ltq.cli.web._server import DashboardServer
from ltq.cli.web._sources import load_sources, warn_of_stores
from ltq.logger import get_logger, setup_logging
from ltq.web._door.gate import Gate
from ltq.web._door.passwords import Passwords, hash_password
from ltq.web._door.safety import is_loopback
from ltq.web._door.sessions import PasswordGate
from ltq.web._door.users import UserFile, check_user_name

logger: logging.Logger = get_logger("web")

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def complete_source(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Each `@name` that is known here, and the workers of modules."""
    named = complete_broker(ctx, parameter, incomplete)
    return [*named, *complete_target("Worker", "App")(ctx, parameter, incomplete)]


@click.command()
@click.argument(
    "sources", metavar="[BROKER|MODULE:WORKER]...", nargs=-1, shell_complete=complete_source
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="The port; 0 is any free one.",
)
@click.option("--auth", metavar="FILE", help="Let those in who are named in FILE: name:hash lines.")
@click.option("--insecure", is_flag=True, help="Let everybody in who reaches the port.")
@click.option("--read-only", is_flag=True, help="Let nobody change anything.")
@click.option(
    "--prefix",
    metavar="PATH",
    default="",
    help="Answer below PATH, as behind a proxy that leaves it in place. Not needed for one that "
    "takes it away.",
)
@click.option("--hash-password", is_flag=True, help="Print a line for FILE, and exit.")
@log_level_option
@log_format_option
def web(  # noqa: PLR0913  its options
    sources: tuple[str, ...],
    host: str,
    port: int,
    auth: str | None,
    insecure: bool,
    read_only: bool,
    prefix: str,
    hash_password: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Serve the dashboard until SIGTERM or Ctrl-C. Needs the extra ltq[web].

    It shows brokers, each a URL or a @NAME, or those of workers. With a worker, its tasks can be
    sent with other arguments, and its schedules be run. Without any, it shows all brokers with
    names, else that of $LTQ_BROKER_URL, else redis://localhost:6379.

    Without --auth and --insecure only this machine may look. The options --auth and --host let
    others in who have a password; use a proxy with HTTPS then.

    \b
    Examples:
      ltq web
      ltq web shop:worker @notifications
      ltq web --hash-password >> users.txt
      ltq web --host 0.0.0.0 --auth users.txt
    """
    if hash_password:
        click.echo(_new_line())
        return
    gate = _gate(host, port, auth, insecure=insecure)
    if prefix and not _PREFIX.fullmatch(prefix.rstrip("/")):
        raise WrongUseError(f"--prefix {prefix!r} is not allowed: a path such as /ops/ltq")

    def started(url: str) -> None:
        if insecure and not is_loopback(host):
            click.echo(
                f"ltq: warning: everybody who reaches {host} may look at all tasks"
                + ("" if read_only else ", and change them"),
                err=True,
            )
        logger.info("the dashboard is at %s", url)

    with EarlySignals().around():
        setup_logging(log_level, as_json=log_format == "json")
        found = load_sources(sources)
        warn_of_stores(found)
        server = DashboardServer(
            found,
            ServerAddress("web", host, port),
            gate=gate,
            is_open=insecure,
            read_only=read_only,
            prefix=prefix.rstrip("/"),
        )
        asyncio.run(server.run(started))


def _gate(host: str, port: int, auth: str | None, *, insecure: bool) -> Gate | None:
    """What stands at the door; None if everybody may come in who reaches it."""
    if auth is not None and insecure:
        raise exclusive("--auth", "--insecure")
    if auth is not None:
        return PasswordGate(Passwords(UserFile(auth)), cookie=f"ltq_session_{port}")
    if not insecure and not is_loopback(host):
        whom = f"--host {host or repr(host)} lets others in"
        raise WrongUseError(f"{whom}: --auth FILE says who, --insecure lets everybody")
    return None


def _new_line() -> str:
    """A line of the file: asked for on a terminal, else from two lines of stdin."""
    if sys.stdin.isatty():
        name = check_user_name(click.prompt("Name", err=True))
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        name = check_user_name(sys.stdin.readline().rstrip("\r\n"))
        password = sys.stdin.readline().rstrip("\r\n")
    return f"{name}:{hash_password(password)}"
