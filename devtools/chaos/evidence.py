"""What is left of a run when it is over: everything an audit looks at."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from devtools.chaos.inflict import Done
from devtools.chaos.load import Notes
from devtools.chaos.squad import Life
from devtools.chaos.timeline import OF_THE_WAY, Kind
from devtools.ledger import Event

TOXIC_NEIGHBOUR = "toxic neighbour"
"""What explains that a run began again whose process a toxic task has killed."""

_UNCLAIMED_WITHIN = 1.0
"""Seconds around a fault in which a worker may give back what it has claimed."""

_CUTS_OFF: frozenset[Kind] = OF_THE_WAY - {"reset", "cut"}
"""Faults that may keep a worker from its store until a lease has ended."""


@dataclass(frozen=True)
class Evidence:
    """Ledger, notes of the load, faults done, and the processes that have ended."""

    events: Sequence[Event]
    notes: Notes
    done: Sequence[Done]
    lives: Sequence[Life]

    @cached_property
    def starts(self) -> dict[str, list[Event]]:
        """The runs of each task, in order."""
        return self._of("start")

    @cached_property
    def ends(self) -> dict[str, list[Event]]:
        """The runs of each task that came to their end."""
        return self._of("end")

    @cached_property
    def killers(self) -> set[int]:
        """The processes in which a toxic task ran."""
        return {event.pid for event in self.events if event.id.startswith("toxic-")}

    @cached_property
    def repeated(self) -> list[tuple[Event, Event]]:
        """Runs that began again with no failure in between: the run, and the one after it."""
        pairs = []
        for runs in self.starts.values():
            following = pairwise(runs)
            pairs += [(one, two) for one, two in following if one.attempt == two.attempt]
        return pairs

    def explains(self, one: Event, two: Event) -> str:
        """Which fault explains that a run began again; empty if none does."""
        for life in self.lives:
            if life.worker.pid == one.pid and life.wanted != "term" and life.ended <= two.time:
                return life.wanted or TOXIC_NEIGHBOUR
        # A process that was stopped, or cut off, may begin long after its lease did.
        first, last = min(claimed_at(one), two.time), max(one.time, two.time)
        for fault in self.done:
            if fault.began > last or fault.ended < first:
                continue
            if fault.kind == "stop" and fault.pid == one.pid:
                return "stop"
            if fault.kind in _CUTS_OFF:
                return fault.kind
        return ""

    def last_run_was_hit(self, task_id: str, until: float) -> bool:
        """Whether a fault, and not a toxic task, cut off the task's last run before `until`."""
        runs = self.starts.get(task_id)
        if not runs:
            return False
        last = runs[-1]
        buried = Event("buried", task_id, last.attempt, 0, until)
        return self.explains(last, buried) not in ("", TOXIC_NEIGHBOUR)

    def outages(self) -> list[tuple[float, float]]:
        """When the way to the server was hurt, overlapping ones as one."""
        spans: list[tuple[float, float]] = []
        way = sorted((d.began, d.ended) for d in self.done if d.kind in OF_THE_WAY)
        for began, ended in way:
            if spans and began <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(ended, spans[-1][1]))
            else:
                spans.append((began, ended))
        return spans

    def was_hurt(self, began: float, ended: float) -> bool:
        """Whether the way to the server was hurt at some time in between."""
        return any(a <= ended and b >= began for a, b in self.outages())

    def may_have_unclaimed(self, began: float, ended: float) -> bool:
        """Whether workers may have given back tasks about then that they had claimed in vain."""
        near = began - _UNCLAIMED_WITHIN, ended + _UNCLAIMED_WITHIN
        terms = [one for one in self.done if one.kind == "term"]
        is_near = any(one.began <= near[1] and one.ended >= near[0] for one in terms)
        return is_near or self.was_hurt(*near)

    def _of(self, what: str) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = defaultdict(list)
        for event in sorted(self.events, key=lambda event: (event.token, event.time)):
            if event.what == what:
                found[event.id].append(event)
        return dict(found)


def claimed_at(event: Event) -> float:
    """When a run's lease began: most tokens are made of the time of the claim, in microseconds."""
    return min(event.claimed or event.token / 1e6, event.time)


def gaps(evidence: Evidence) -> list[float]:
    """After each outage: seconds until a task began, where no other outage came first."""
    begun = sorted(event.time for event in evidence.events if event.what == "start")
    spans, found = evidence.outages(), []
    for number, (_, ended) in enumerate(spans):
        following = next((time for time in begun if time > ended), None)
        another = spans[number + 1][0] if number + 1 < len(spans) else float("inf")
        if following is not None and following < another:
            found.append(following - ended)
    return found
