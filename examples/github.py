"""Repositories from GitHub: requests with a rate limit, retries, and a typed result.

    ltq run examples.github:worker                          # in one terminal
    python -m examples.github python/cpython redis/redis    # in another

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. The worker asks LTQ_GITHUB_URL,
else https://api.github.com (60 requests an hour without an account); `--base-url` of the
producer overrides both.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

import ltq

worker = ltq.Worker("github")

GITHUB = "https://api.github.com"
SOME = ["python/cpython", "redis/redis", "jcrist/msgspec", "Textualize/rich", "no-such/repository"]
PATIENCE = 3.0
"""Seconds without a run before the producer asks whether a worker runs."""
NO_WORKER = "no run yet: start a worker (ltq run examples.github:worker), or wait (see ltq stats)"
STOPPED = "stopped; unfinished tasks stay in their queue (ltq clear github:fetch)"
STYLES = {
    ltq.Status.COMPLETED: "green",
    ltq.Status.WORKING: "cyan",
    ltq.Status.DELAYED: "yellow",
    ltq.Status.PENDING: "yellow",
}


@dataclass(frozen=True)
class Repo:
    """A repository: the fields that are shown."""

    full_name: str
    stargazers_count: int
    forks_count: int
    language: str | None
    pushed_at: datetime


def is_passing(error: Exception) -> bool:
    """Whether another try may help: the server has a problem, or cannot be reached."""
    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code == 429
    return isinstance(error, OSError | HTTPException)  # URLError and TimeoutError are OSErrors


@worker.task(
    max_tries=5,
    max_rate="10/s",
    timeout=timedelta(seconds=30),
    retry_on=is_passing,
    backoff=0.5,
)
def fetch(repo: str, *, base_url: str | None = None) -> Repo:
    """Ask for one repository. A plain `def`: the worker runs it in a thread."""
    base = base_url or os.environ.get("LTQ_GITHUB_URL") or GITHUB
    if not base.startswith(("https://", "http://")):
        raise ltq.RejectError(f"{base} is not the URL of a web server")
    request = Request(f"{base}/repos/{quote(repo)}", headers={"User-Agent": "ltq-example"})
    try:
        with urlopen(request, timeout=10) as response:
            return msgspec.json.decode(response.read(), type=Repo)
    except HTTPError as error:
        error.close()
        if error.code == 404:
            raise ltq.RejectError(f"there is no repository {repo}") from error
        pause = asked_pause(error)
        if pause is not None:
            raise ltq.RetryError(pause, f"asked to come back in {pause:g} s") from error
        raise


def asked_pause(error: HTTPError) -> float | None:
    """Seconds the server asks to wait before the next request, or None if it does not."""
    text = error.headers.get("Retry-After", "") if error.code in (403, 429) else ""
    return float(text) if text.replace(".", "", 1).isdecimal() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the producer. 0: every repository was there, 1: not all, 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.github",
        description="Let a worker ask GitHub for repositories.",
        epilog="The worker: ltq run examples.github:worker",
    )
    parser.add_argument(
        "repos", metavar="OWNER/NAME", nargs="*", default=SOME, help="default: some known ones"
    )
    parser.add_argument("--base-url", metavar="URL", help="ask this server instead of GitHub")
    options = parser.parse_args(arguments)
    console = Console(markup=False, emoji=False, highlight=False)
    try:
        board = asyncio.run(produce(dict.fromkeys(options.repos), options.base_url, console))
    except ltq.LtqError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    failures = board.failures()
    for line in failures:
        console.print(f"failed: {line}", style="red", soft_wrap=True)
    return 1 if failures else 0


async def produce(repos: Iterable[str], base_url: str | None, console: Console) -> "Board":
    """Send a task for each repository, and show their states until all are final."""
    async with contextlib.aclosing(worker):
        messages = [fetch.message(repo, base_url=base_url) for repo in repos]
        board = Board(repos, await fetch.send_many(messages))
        hint = asyncio.get_running_loop().call_later(PATIENCE, board.ask_for_worker)
        try:
            with Live(get_renderable=board.table, console=console):
                await board.follow()
        finally:
            hint.cancel()
    if not console.is_terminal:  # on a terminal rich does it
        console.line()
    return board


class Board:
    """The states of all tasks, as a table."""

    def __init__(self, repos: Iterable[str], handles: Sequence[ltq.Handle[Repo]]) -> None:
        self._handles = dict(zip(repos, handles, strict=True))
        self._states: dict[str, ltq.TaskState[Repo]] = {}

    async def follow(self) -> None:
        """Keep the states up to date until all are final."""
        await asyncio.gather(*(self._follow(repo) for repo in self._handles))

    async def _follow(self, repo: str) -> None:
        async for state in self._handles[repo].watch():
            self._states[repo] = state

    def ask_for_worker(self) -> None:
        """Print a hint that no worker may be running."""
        if not any(state.dequeue_count for state in self._states.values()):
            print(NO_WORKER, file=sys.stderr)

    def failures(self) -> list[str]:
        """A line for each task that did not complete."""
        return [
            printable(f"{repo}: {state.error or state.status}")
            for repo, state in self._states.items()
            if state.status is not ltq.Status.COMPLETED
        ]

    def table(self) -> Table:
        """A row for each."""
        table = Table(box=None, pad_edge=False)
        for title in ("repository", "status", "runs", "stars", "forks", "language"):
            is_number = title in ("runs", "stars", "forks")
            table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
        table.add_column()
        for repo in self._handles:
            if repo in self._states:
                table.add_row(printable(repo), *cells(self._states[repo]))
        return table


def cells(state: ltq.TaskState[Repo]) -> list[Text | str]:
    """The columns of one task. Type checkers know that its result is a `Repo`."""
    status = Text(state.status, style=STYLES.get(state.status, "red"))
    runs = str(state.dequeue_count)
    if state.result is None:
        note = Text(printable(state.error or ""), no_wrap=True, overflow="ellipsis")
        return [status, runs, "", "", "", note]
    repo = state.result
    stars, forks = f"{repo.stargazers_count:,}", f"{repo.forks_count:,}"
    note = Text(f"pushed {repo.pushed_at:%Y-%m-%d}", no_wrap=True, overflow="ellipsis")
    return [status, runs, stars, forks, printable(repo.language or ""), note]


def printable(text: str) -> str:
    """Escape what a server's text may contain: line ends, escape sequences of the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


if __name__ == "__main__":
    sys.exit(main())
