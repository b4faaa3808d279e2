"""The faults of a broker: which of its calls fail, and how."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Literal, Self, TypeVar, get_args

from ltq.errors import BrokerError, ConfigurationError
from ltq.options import Seconds, positive_int, seconds

T = TypeVar("T")

Call = Literal[
    "send",
    "first",
    "claim",
    "wait",
    "freed",
    "finish",
    "heartbeat",
    "serve",
    "served",
    "announce",
    "leave",
    "progress",
    "append",
    "sweep",
    "repair",
    "states",
    "items",
    "watch",
    "queues",
    "stats",
    "clear",
    "cancel",
    "pause",
    "resume",
    "promote",
    "cancel_many",
    "rerun",
    "endings",
    "carried",
    "arrive",
    "held",
    "ctx",
    "go_on",
    "cancel_each",
    "restart",
    "pack",
    "pack_dead",
    "adopt",
    "drop",
    "adopt_schedule",
    "find",
    "body",
    "tasks",
    "workers",
    "history",
    "examine",
    "dead_letters",
    "dead_letter",
    "replay",
    "purge",
    "time",
    "fire",
    "put_schedule",
    "remove_schedule",
    "pause_schedule",
    "resume_schedule",
    "schedule_marks",
    "changed_schedules",
    "schedules",
    "ping",
    "hazards",
    "migrate",
]
"""A call of a broker: the name of its method, except `send` (`publish`) and `watch` (`feed`)."""

CALLS: frozenset[str] = frozenset(get_args(Call))

Calls = Call | Iterable[Call] | None
"""Which calls: one, several, or with None all."""


class Fault:
    """Calls of a broker that fail, until `heal` is called or the `with` block ends."""

    def __init__(
        self,
        calls: frozenset[str],
        *,
        left: int | None,
        error: Exception,
        lost: bool,
        forget: Callable[["Fault"], None],
    ) -> None:
        self.calls = calls
        self.left = left
        """How many more calls will fail; None for all until it is healed."""
        self.error = error
        self.lost = lost
        """Whether calls are carried out, and only their replies are lost."""
        self.count: int = 0
        """How many calls have failed."""
        self._forget = forget

    def heal(self) -> None:
        """Let calls succeed again. Calling it twice does no harm."""
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.heal()

    def take(self) -> Exception:
        """Count a failed call and return the error to raise."""
        self.count += 1
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.heal()
        return self.error.with_traceback(None)


class Faults:
    """All faults of a broker and its clones. It may be used from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._faults: list[Fault] = []
        self._pauses: list[tuple[frozenset[str], float]] = []

    def fail(self, on: Calls, *, next: int | None, error: Exception | None, lost: bool) -> Fault:  # noqa: A002
        """Let calls fail."""
        calls = _calls(on)
        if error is None:
            error = BrokerError("a call failed because the test wants it to")
        elif not isinstance(error, Exception):
            raise ConfigurationError(f"error={error!r} is not allowed: it must be an exception")
        left = None if next is None else positive_int("next", next)
        fault = Fault(calls, left=left, error=error, lost=lost, forget=self._forget)
        self._faults.append(fault)
        return fault

    def slow(self, pause: Seconds, on: Calls) -> None:
        """Let calls take longer."""
        self._pauses.append((_calls(on), seconds("seconds", pause)))

    def heal(self) -> None:
        """Remove all faults."""
        self._faults.clear()
        self._pauses.clear()

    async def call(self, name: Call, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, or raise the error of its fault."""
        self.counts[name] += 1
        for calls, pause in tuple(self._pauses):
            if name in calls:
                await asyncio.sleep(pause)
        fault = self.find(name)
        if fault is None:
            return await call()
        if fault.lost:
            await call()
        raise fault.take()

    def find(self, name: Call) -> Fault | None:
        """The fault of a call, if it has one."""
        return next((fault for fault in tuple(self._faults) if name in fault.calls), None)

    def _forget(self, fault: Fault) -> None:
        with suppress(ValueError):
            self._faults.remove(fault)


def _calls(on: object) -> frozenset[str]:
    if on is None:
        return CALLS
    wanted: Iterable[object] = [on] if isinstance(on, str) or not isinstance(on, Iterable) else on
    names = list(wanted)
    for name in names:
        if name not in CALLS:
            raise ConfigurationError(f"on={name!r} is not allowed: {', '.join(sorted(CALLS))}")
    return frozenset(map(str, names))
