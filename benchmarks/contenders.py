"""Who is compared: versions, and how much of each measure is enough."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

COMMON = ("uvloop==0.23.0", "hiredis==3.5.0")


@dataclass(frozen=True, slots=True)
class Entrant:
    """One queue of the comparison."""

    name: str
    title: str
    file: str
    """The module in `benchmarks.peers`, or the path of any."""
    requirements: Sequence[str] = ()
    """What is installed for it, pinned."""
    drain: int = 5_000
    """How many tasks it drains: enough for some seconds."""
    send: int = 5_000
    wait: int = 500
    """How many results it is asked for, one after the other."""
    results: bool = True
    """Whether it keeps results; without them there is no latency."""
    python: str | None = None
    """The Python it needs, None for the running one."""
    source: Path | None = None
    """Where its code is, if it is not installed."""
    optional: bool = False
    """Whether it may be missing: then it is skipped, which is no failure."""
    has_own_process: bool = False
    """Whether its worker has processes of its own: then its idling is not seen."""
    is_node: bool = False
    """Whether it runs in Node: `file` is then a folder beside, with its lock file."""
    without: str = ""
    """What it does not do here, of what LTQ does in the same run."""

    def lacks(self, measure: str) -> bool:
        """Whether a measure makes no sense for it."""
        if measure == "idle":
            return self.has_own_process
        return measure == "latency" and not self.results


LTQ = "ltq"
LTQ_0_4 = "ltq-0.4"

ENTRANTS = {
    entrant.name: entrant
    for entrant in (
        Entrant(
            LTQ,
            "LTQ",
            "ltq_now",
            ("redis==8.1.0", "msgspec==0.22.0", "croniter==7.0.0", "typing-extensions==4.16.0"),
            drain=20_000,
            send=20_000,
            source=ROOT,
        ),
        Entrant(
            LTQ_0_4,
            "ltq 0.4.0",
            "ltq_0_4",
            ("ltq==0.4.0", "redis==8.1.0"),
            drain=20_000,
            send=10_000,
            results=False,
            python="3.13",
            optional=True,
            without="no results, no bulk call; what a killed worker held is lost",
        ),
        Entrant(
            "torrelque",
            "Torrelque",
            "torrelque",
            ("torrelque==0.9.0", "redis==8.1.0"),
            drain=20_000,
            send=10_000,
            without="a bare queue: no worker, no retries",
        ),
        # It imports typing_extensions and does not say so.
        Entrant(
            "saq",
            "saq",
            "saq",
            ("saq[redis]==0.26.4", "redis==7.4.1", "typing-extensions==4.16.0"),
            without="no bulk call; what a killed worker held is aborted by default",
        ),
        Entrant(
            "taskiq",
            "taskiq",
            "taskiq",
            ("taskiq==0.13.0", "taskiq-redis==1.2.4", "redis==8.1.0"),
            without="no bulk call; leases are not renewed; results are polled for",
        ),
        Entrant(
            "arq",
            "arq",
            "arq",
            ("arq==0.28.0", "redis==5.3.1"),
            without="no bulk call; leases are not renewed; work and results are polled for",
        ),
        Entrant(
            "streaq",
            "streaq",
            "streaq",
            ("streaq==7.2.0", "coredis==6.9.0"),
            drain=3_000,
            send=3_000,
            wait=100,
        ),
        Entrant(
            "docket",
            "docket",
            "docket",
            ("pydocket==0.27.0", "redis==8.1.0"),
            drain=3_000,
            send=3_000,
            without="work is polled for",
        ),
        Entrant("bullmq", "BullMQ", "bullmq", send=10_000, is_node=True, optional=True),
        Entrant(
            "celery",
            "Celery",
            "celery",
            ("celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0"),
            drain=3_000,
            send=2_000,
            wait=200,
            has_own_process=True,
            without="no bulk call; what a killed worker held is lost by default",
        ),
        Entrant(
            "dramatiq",
            "dramatiq",
            "dramatiq",
            ("dramatiq==2.2.1", "redis==8.1.0"),
            drain=3_000,
            send=3_000,
            wait=200,
            without="no bulk call; messages of dead workers are found by chance",
        ),
        Entrant(
            "rq",
            "RQ",
            "rq",
            ("rq==3.0.0", "redis==8.1.0"),
            drain=2_000,
            send=2_000,
            wait=200,
            without="one job at a time; what a killed worker held fails",
        ),
        Entrant(
            "huey-redis",
            "huey",
            "huey",
            ("huey==3.5.4", "redis==8.1.0"),
            drain=5_000,
            wait=200,
            without="no bulk call, no leases: what a killed worker held is lost",
        ),
    )
}
"""By name, in the order of the tables."""

ON_SQLITE = {
    entrant.name: entrant
    for entrant in (
        ENTRANTS[LTQ],
        Entrant(
            "huey",
            "huey",
            "huey",
            ("huey==3.5.4",),
            drain=5_000,
            wait=200,
            without="no bulk call, no leases: what a killed worker held is lost",
        ),
        Entrant(
            "persist-queue",
            "persist-queue",
            "persist_queue",
            ("persist-queue==1.1.0",),
            results=False,
            without="a bare queue: no worker, no results, no bulk call, no leases",
        ),
    )
}
"""Those that keep their tasks in a file of SQLite."""

ON_POSTGRES = {
    entrant.name: entrant
    for entrant in (
        replace(
            ENTRANTS[LTQ],
            requirements=(*ENTRANTS[LTQ].requirements, "psycopg[binary]==3.3.9", "greenlet==3.5.6"),
        ),
        Entrant(
            "pgqueuer",
            "PgQueuer",
            "pgqueuer",
            ("pgqueuer==1.6.0", "asyncpg==0.32.0"),
            drain=20_000,
            send=20_000,
            results=False,
            without="no results",
        ),
        Entrant(
            "procrastinate",
            "procrastinate",
            "procrastinate",
            ("procrastinate==3.10.0", "psycopg[binary]==3.3.9"),
            drain=1_000,
            send=1_000,
            results=False,
            without="no results; jobs of dead workers wait for a call of yours",
        ),
        Entrant(
            "oban",
            "Oban",
            "oban",
            ("oban==0.7.0",),
            wait=200,
            python="3.13",
            optional=True,
            without="results are polled for",
        ),
        Entrant(
            "chancy",
            "Chancy",
            "chancy",
            ("chancy==0.26.0", "psycopg[binary]==3.3.9"),
            results=False,
            without="no results; its plugins, such as the recovery, are off",
        ),
    )
}
"""Those that keep their tasks in PostgreSQL."""

ALL = {**ON_POSTGRES, **ON_SQLITE, **ENTRANTS}
"""By name, whatever they keep their tasks in."""
