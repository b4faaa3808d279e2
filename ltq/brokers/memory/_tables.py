"""What a namespace keeps beside its tasks."""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from itertools import islice, takewhile
from math import inf
from typing import Generic, TypeVar

from ltq.brokers._rules.record import DeadRecord, Record
from ltq.brokers._rules.slot import Change
from ltq.state import Status

V = TypeVar("V")

SLACK = 1000
"""How many entries a table may gain before it removes those that have expired."""


class MemoryTable(Generic[V]):
    """Values by a key, each until it expires: `Table`."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[V, float]] = {}
        self._most = SLACK

    def get(self, key: str, now: float) -> V | None:
        """See `Table`."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None and entry[1] > now else None

    def several(self, keys: Collection[str], now: float) -> dict[str, V]:
        """See `Table`."""
        entries = ((key, self._entries[key]) for key in keys if key in self._entries)
        return {key: value for key, (value, expires) in entries if expires > now}

    def expiry(self, key: str, now: float) -> float:
        """See `Table`."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[1] > now else 0.0

    def set(self, key: str, value: V, *, expires: float, now: float) -> None:
        """See `Table`."""
        self._entries[key] = (value, expires)
        if len(self._entries) > self._most:
            self._entries = {key: entry for key, entry in self._entries.items() if entry[1] > now}
            self._most = 2 * len(self._entries) + SLACK

    def remove(self, key: str) -> None:
        """See `Table`."""
        self._entries.pop(key, None)

    def values(self, now: float) -> list[V]:
        """See `Table`."""
        return [value for value, expires in self._entries.values() if expires > now]


class MemoryChanges:
    """The names of what was changed, the latest last: `Changes`."""

    def __init__(self) -> None:
        self._changes: dict[str, Change] = {}
        self._gone: dict[str, None] = {}
        self._latest = 0

    def note(self, name: str, *, is_gone: bool, most_gone: int) -> None:
        """See `Changes`."""
        self._latest += 1
        self._changes.pop(name, None)
        self._gone.pop(name, None)
        self._changes[name] = Change(name, self._latest, is_gone)
        if is_gone:
            self._gone[name] = None
            if len(self._gone) > most_gone:
                first = next(iter(self._gone))
                del self._gone[first], self._changes[first]

    def after(self, number: int, limit: int) -> list[Change]:
        """See `Changes`."""
        later: list[Change] = []
        for change in reversed(self._changes.values()):
            if change.number <= number:
                break
            later.append(change)
        return later[::-1][:limit]

    def latest(self) -> int:
        """See `Changes`."""
        return self._latest


class MemoryEndedTokens:
    """The tokens of tasks that ended without leaving a state: `EndedTokens`."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[int, Status]] = {}

    def get(self, task_id: str) -> tuple[int, Status] | None:
        """See `EndedTokens`."""
        return self._tokens.get(task_id)

    def put(self, task_id: str, ended: tuple[int, Status], *, most: int) -> None:
        """See `EndedTokens`."""
        self._tokens[task_id] = ended
        if len(self._tokens) > most:
            del self._tokens[next(iter(self._tokens))]


class MemoryEndCounts:
    """How many tasks ended, by queue and step of time: `EndCounts`."""

    def __init__(self) -> None:
        self._ended: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def add(self, queue: str, step: int, many: int, *, oldest: int) -> None:
        """See `EndCounts`."""
        ended = self._ended[queue]
        ended[step] += many
        if len(ended) > step - oldest + 1:
            self._ended[queue] = Counter(
                {each: many for each, many in ended.items() if oldest <= each <= step}
            )

    def totals(self, queues: Collection[str], first: int, last: int) -> dict[str, int]:
        """See `EndCounts`."""
        counted = ((queue, self._ended[queue]) for queue in queues if queue in self._ended)
        steps = range(first, last + 1)
        return {queue: sum(ended[step] for step in steps) for queue, ended in counted}


class MemoryHistory:
    """What was counted in each minute of a queue: `HistoryFigures`."""

    def __init__(self) -> None:
        self._minutes: defaultdict[str, dict[int, Counter[str]]] = defaultdict(dict)

    def add(self, queue: str, minute: int, figures: Mapping[str, int], *, oldest: int) -> None:
        """See `HistoryFigures`."""
        minutes = self._minutes[queue]
        present = minutes.get(minute)
        if present is None:  # once a minute
            for old in [number for number in minutes if number < oldest]:
                del minutes[old]
            present = minutes[minute] = Counter()
        for name, number in figures.items():
            present[name] += number

    def read(self, queue: str, first: int, last: int) -> dict[int, Counter[str]]:
        """See `HistoryFigures`."""
        minutes = self._minutes.get(queue, {})
        return {number: minutes[number] for number in minutes if first <= number <= last}


class MemoryDeadRecords:
    """The dead tasks of each queue, the oldest first: `DeadRecords`."""

    def __init__(self) -> None:
        self._dead: defaultdict[str, OrderedDict[str, DeadRecord]] = defaultdict(OrderedDict)

    def put(self, dead: DeadRecord, *, most: int) -> None:
        """See `DeadRecords`."""
        for others in self._dead.values():
            others.pop(dead.record.id, None)
        own = self._dead[dead.record.queue]
        later = [*takewhile(lambda one: one.time > dead.time, reversed(own.values()))]
        own[dead.record.id] = dead
        for one in reversed(later):  # it died elsewhere, before these did here
            own.move_to_end(one.record.id)
        if len(own) > most:
            own.popitem(last=False)

    def get(self, task_id: str, after: float) -> DeadRecord | None:
        """See `DeadRecords`."""
        found = (dead[task_id] for dead in self._dead.values() if task_id in dead)
        return next((dead for dead in found if dead.time > after), None)

    def newest(self, queue: str, after: float, limit: int, offset: int) -> list[DeadRecord]:
        """See `DeadRecords`."""
        self._forget(queue, after)
        return list(islice(reversed(self._of(queue).values()), offset, offset + limit))

    def counts(self, queues: Collection[str], after: float) -> dict[str, int]:
        """See `DeadRecords`."""
        for queue in queues:
            self._forget(queue, after)
        return {queue: len(self._of(queue)) for queue in queues}

    def remove(
        self, queue: str, ids: Collection[str] | None, after: float = -inf, until: float = inf
    ) -> int:
        """See `DeadRecords`."""
        self._forget(queue, after)
        own = self._of(queue)
        wanted = list(own) if ids is None else [task_id for task_id in ids if task_id in own]
        old = [task_id for task_id in wanted if own[task_id].time <= until]
        for task_id in old:
            del own[task_id]
        return len(old)

    def _of(self, queue: str) -> OrderedDict[str, DeadRecord]:
        return self._dead.get(queue, OrderedDict())

    def _forget(self, queue: str, after: float) -> None:
        own = self._of(queue)
        while own and next(iter(own.values())).time <= after:
            own.popitem(last=False)


class MemoryItems:
    """The items of streams, by the task's id: `Items`."""

    def __init__(self) -> None:
        self._kept: defaultdict[str, deque[bytes]] = defaultdict(deque)

    def append(self, record: Record, items: Sequence[bytes], most: int) -> None:
        """See `Items`."""
        kept = self._kept[record.id]
        kept.extend(items)
        while len(kept) > most:
            kept.popleft()

    def read(self, record: Record, after: int, limit: int) -> tuple[int, list[bytes]]:
        """See `Items`."""
        kept = self._kept.get(record.id, ())
        first = max(after, record.items - len(kept))
        start = first - record.items + len(kept)
        return first, [*islice(kept, start, start + limit)]

    def clear(self, record: Record) -> None:
        """See `Items`."""
        self._kept.pop(record.id, None)
