"""How schedules are shown: those of a broker, and those that code declares."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice

from rich.console import Console

from ltq._cron.expression import parse_cron
from ltq.cli._console import print_columns, print_line
from ltq.errors import ConfigurationError
from ltq.schedule import Schedule, ScheduleInfo

_HEAD = (
    "next run",
    "schedule",
    "expression",
    "zone",
    "task",
    "misfire",
    "last run",
    "from",
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A schedule and its next runs."""

    info: ScheduleInfo
    runs: list[datetime]
    last: datetime | None

    @classmethod
    def of(cls, info: ScheduleInfo, now: float, count: int) -> "Listed":
        """Return the next `count` runs after a time in Unix seconds, in the schedule's zone."""
        runs: list[datetime] = []
        zone: tzinfo = UTC
        try:
            cron = parse_cron(info.expr, info.tz)
            zone = cron.zone
            if info.next is not None:
                slots = islice(cron.iterate(max(int(now), int(info.next) - 1)), count)
                runs = [datetime.fromtimestamp(slot, zone) for slot in slots]
        except ConfigurationError:  # no scheduler of this version runs it
            pass
        last = None if info.last is None else datetime.fromtimestamp(info.last, zone)
        return cls(info, runs, last)

    def cells(self, run: str) -> tuple[str, ...]:
        """Return the row of one run."""
        one = self.info
        last = "never" if self.last is None else self.last.isoformat(sep=" ")
        return (
            run,
            one.name,
            one.expr,
            one.tz,
            one.task_name,
            one.misfire or "?",
            last,
            one.origin,
        )

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        one = self.info
        return {
            "name": one.name,
            "expression": one.expr,
            "tz": one.tz,
            "task": one.task_name,
            "misfire": one.misfire,
            "next": [run.isoformat() for run in self.runs],
            "last": None if self.last is None else self.last.isoformat(),
            "paused": one.paused,
            "origin": one.origin,
        }


def info_of(schedule: Schedule, now: float) -> ScheduleInfo:
    """What is known of a schedule without its broker."""
    return ScheduleInfo(
        name=schedule.name,
        expr=schedule.expr,
        tz=schedule.tz,
        task_name=schedule.task.name,
        paused=False,
        last=None,
        next=schedule.next(int(now)),
        origin="code",
        misfire=schedule.misfire,
    )


def print_listed(console: Console, listed: Sequence[Listed]) -> None:
    """Print a row for each next run, in order of time, and those that are paused."""
    if not listed:
        print_line(console, "no schedules")
        return
    runs = sorted(
        (run, one.info.name, number) for number, one in enumerate(listed) for run in one.runs
    )
    rows = [listed[number].cells(run.isoformat(sep=" ")) for run, _, number in runs]
    rows += [one.cells("paused" if one.info.paused else "?") for one in listed if not one.runs]
    print_columns(console, _HEAD, rows, left=set(range(len(_HEAD))))
