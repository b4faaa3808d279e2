"""The next runs of a schedule, for `ltq schedule list` and for the log at the start."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from ltq.schedule import Schedule


@dataclass(frozen=True, slots=True)
class NextRuns:
    """A schedule and its next runs."""

    schedule: Schedule
    runs: list[datetime]

    @classmethod
    def after(cls, schedule: Schedule, now: float, count: int) -> "NextRuns":
        """Return the next `count` runs after a time in Unix seconds, in the schedule's zone."""
        slots = islice(schedule.iterate(int(now)), count)
        return cls(schedule, [datetime.fromtimestamp(slot, schedule.zone) for slot in slots])

    def row(self) -> tuple[str, ...]:
        """Return name, expression, zone, task and misfire."""
        one = self.schedule
        return one.name, one.expr, one.tz, one.task.name, one.misfire

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        fields = ("name", "expression", "tz", "task", "misfire")
        runs = [run.isoformat() for run in self.runs]
        return {**dict(zip(fields, self.row(), strict=True)), "next": runs}
