"""`python -m devtools.chaos`: the chaos run, and one figure each."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from devtools.chaos.figures.answers import instant
from devtools.chaos.figures.due import due
from devtools.chaos.figures.flows import flows
from devtools.chaos.figures.goal import Goal, show
from devtools.chaos.figures.idle import idle
from devtools.chaos.figures.kept import kept
from devtools.chaos.figures.kills import kills, recovery
from devtools.chaos.figures.memory import memory
from devtools.chaos.figures.restarts import drops, restarts
from devtools.chaos.figures.schedules import schedules
from devtools.chaos.postgres_stage import PostgresStage
from devtools.chaos.rabbitmq_stage import RabbitStage
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.say import say
from devtools.chaos.siege import Siege
from devtools.chaos.sqlite_stage import SqliteStage
from devtools.chaos.stage import Stage
from devtools.chaos.timeline import Store, draw, read


@dataclass(frozen=True)
class Figure:
    """A subcommand that measures one thing, and what it measures with if it is not told."""

    about: str
    measure: Callable[[float, int, int], Awaitable[list[Goal]]]
    seconds: float = 0.0
    count: int = 0


FIGURES = {
    "kills": Figure("kill -9 of a worker every second", kills, 60.0, 10_000),
    "recovery": Figure(
        "from kill -9 to running again, with the default lease",
        lambda _, count, seed: recovery(count, seed),
        count=5,
    ),
    "restarts": Figure("kill -9 of Redis, again and again", restarts, 300.0, 20),
    "drops": Figure(
        "one reply in ten is lost", lambda seconds, _, seed: drops(seconds, seed), 60.0
    ),
    "instant": Figure(
        "result() of tasks that end at once", lambda _, count, __: instant(count), count=10_000
    ),
    "due": Figure(
        "a tenth of all delayed tasks are due at once",
        lambda _, count, __: due(count, 0.1),
        count=1_000_000,
    ),
    "memory": Figure(
        "no-ops through one worker", lambda _, count, __: memory(count), count=2_000_000
    ),
    "schedules": Figure("kill -9 and pauses of schedulers", schedules, 300.0, 3),
    "kept": Figure("the same with schedules that are put, due together", kept, 120.0, 10_000),
    "flows": Figure(
        "maps with a fan-in, 100 seeds: whoever carries them on dies all the time",
        lambda _, count, seed: flows(count, seed),
        count=10_000,
    ),
    "idle": Figure("workers with nothing to do", lambda seconds, _, __: idle(seconds), 10.0),
}


STAGES: dict[Store, type[Stage]] = {
    "redis": RedisStage,
    "sqlite": SqliteStage,
    "postgres": PostgresStage,
    "rabbitmq": RabbitStage,
}


def main() -> int:
    """Parse, run, and give the exit code: 1 where something is violated, or a goal missed."""
    words = sys.argv[1:]
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words = ["random", *words]
    given = _parser().parse_args(words)
    if given.seed is None:
        given.seed = SystemRandom().randrange(10**6)
    if given.command == "random":
        return asyncio.run(chaos(given))
    return asyncio.run(figure(given))


async def figure(given: argparse.Namespace) -> int:
    """Measure one thing."""
    measure = FIGURES[given.command].measure
    goals = await measure(given.seconds, given.count, given.seed)
    return 0 if show(f"{given.command} (seed {given.seed})", goals) else 1


async def chaos(given: argparse.Namespace) -> int:
    """Random faults, or those of a timeline."""
    if given.replay is not None:
        timeline = read(given.replay)
    else:
        timeline = draw(
            given.seed,
            given.seconds,
            workers=4,
            lease=3.0,
            pause=given.pause,
            store=given.broker,
        )
    async with STAGES[timeline.store](lease=timeline.lease, seed=timeline.seed) as stage:
        path = stage.directory / "timeline.json"
        timeline.write(path)
        say(f"seed {timeline.seed}, {len(timeline.faults)} faults: {path}")
        report = await Siege(stage, timeline, pause=given.beat, toxic=given.toxic).run()
    report.show()
    if report.violations:
        say(f"FAILED with seed {timeline.seed}; again: --replay {path}")
    return 1 if report.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m devtools.chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    random = commands.add_parser("random", help="random faults, then an audit (the default)")
    random.add_argument("--seconds", type=float, default=60.0)
    random.add_argument("--seed", type=int)
    random.add_argument("--broker", choices=list(STAGES), default="redis")
    random.add_argument("--replay", type=Path, help="run this timeline again")
    random.add_argument("--pause", type=float, default=1.0, help="between faults, in the mean")
    random.add_argument("--beat", type=float, default=0.02, help="between sends of a producer")
    random.add_argument("--toxic", type=int, default=3, help="tasks that kill their process")
    for name, one in FIGURES.items():
        command = commands.add_parser(name, help=one.about)
        command.add_argument("--seconds", type=float, default=one.seconds)
        command.add_argument("--count", type=int, default=one.count)
        command.add_argument("--seed", type=int)
    return parser


if __name__ == "__main__":
    sys.exit(main())
