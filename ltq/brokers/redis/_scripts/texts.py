"""The texts of the Lua scripts: read from `lua/`, put together, and named by their hash.

A script, and the head of an include, may have two directives, each on a line of its own:

    -- @include time, reindex        inserts the text of `lua/_time.lua` and `lua/_reindex.lua`
    -- @constant DEAD_TTL            becomes `local DEAD_TTL = 604800`, with Python's value

An include may include others. Each text is inserted once, before all that needs it. Includes expect
one name without saying so: `prefix`, which every script binds first.

No script begins with `#!lua`. When memory is short, Redis 7 refuses such a script as a whole, but
finishing must go on: a script may write if its first write frees memory. Redis 6.2 does not know
that line.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from ltq.broker import history, isolation, moving, schedule_slots
from ltq.brokers._rules import constants
from ltq.errors import ConfigurationError
from ltq.options import (
    DEAD_TTL,
    DEFAULT_MAX_DELIVERIES,
    DEFAULT_RESULT_TTL,
    MAX_DEAD,
    MAX_FINAL,
    MAX_SECONDS,
    SERVED_TTL,
    Priority,
)

CONSTANTS = {
    "ADOPTED_TTL": moving.ADOPTED_TTL,
    "ANNOUNCE_AGAIN": constants.ANNOUNCE_AGAIN,
    "BUCKETS_A_DOUBLING": history.BUCKETS_A_DOUBLING,
    "CLAIM_KEPT": constants.CLAIM_KEPT,
    "DEAD_TTL": DEAD_TTL,
    "DEFAULT_MAX_DELIVERIES": DEFAULT_MAX_DELIVERIES,
    "DEFAULT_PRIORITY": f"{Priority.NORMAL:d}",
    "DEFAULT_RESULT_TTL": DEFAULT_RESULT_TTL,
    "ENDED_TTL": constants.ENDED_TTL,
    "FIRST_BUCKET": history.FIRST_BUCKET,
    "HIGHEST_PRIORITY": int(min(Priority)),
    "HISTORY_TTL": constants.HISTORY_TTL,
    "ISOLATION_BASE": isolation.ISOLATION_BASE,
    "JUST_NOW": f"{constants.JUST_NOW:f}",
    "KILLED_ONCE": isolation.KILLED_ONCE,
    "KILLED_TIMES": isolation.KILLED_TIMES,
    "LAST_BUCKET": history.LAST_BUCKET,
    "LOWEST_PRIORITY": int(max(Priority)),
    "MAX_DEAD": MAX_DEAD,
    "MAX_DURATION": history.MAX_DURATION,
    "MAX_ENDED": constants.MAX_ENDED,
    "MAX_FINAL": MAX_FINAL,
    "MAX_ISOLATION_STEPS": isolation.MAX_ISOLATION_STEPS,
    "MAX_LANES": constants.MAX_LANES,
    "MAX_REMOVED": constants.MAX_REMOVED,
    "MAX_SECONDS": MAX_SECONDS,
    "MOST_SKIPPED": 1_000_000,
    "RECHECK": constants.RECHECK,
    "REWRITTEN_LIST": 2000,
    "SCHEDULER_SILENT": schedule_slots.SCHEDULER_SILENT,
    "SCHEDULER_TTL": constants.SCHEDULER_TTL,
    "SERVED_TTL": SERVED_TTL,
    "SHORT_LIST": 500,
    "SLOT_AHEAD": schedule_slots.SLOT_AHEAD,
    "SLOT_HANDOVER": schedule_slots.SLOT_HANDOVER,
    "SLOT_TTL": constants.SLOT_TTL,
    "SLOWEST": constants.SLOWEST,
    "STEP_TTL": 60,
    "TASK_BYTES": constants.TASK_BYTES,
    "THROUGHPUT_LATELY": constants.THROUGHPUT_LATELY,
    "THROUGHPUT_STEP": constants.THROUGHPUT_STEP,
    "THROUGHPUT_STEPS": constants.THROUGHPUT_STEPS,
}
"""The constants that scripts may name with `@constant`."""

_DIRECTIVE = re.compile(r"-- @(include|constant) (\w+(?:, \w+)*)")


@cache
def source(name: str) -> str:
    """The whole text of a script, as the server gets it."""
    return "\n".join(_Assembly().lines_of(name)) + "\n"


@cache
def sha(name: str) -> str:
    """The hash by which the server knows a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


class _Assembly:
    """Puts one script together."""

    def __init__(self) -> None:
        self._done: set[str] = set()
        """The includes and constants that are in the text already."""
        self._open: list[str] = []
        """The files that are being read, each one included by the one before it."""

    def lines_of(self, name: str) -> Iterator[str]:
        """The lines of a file in `lua/`, with what it includes."""
        if name in self._open:
            raise ConfigurationError(
                f"Lua files include each other: {' > '.join([*self._open, name])}"
            )
        self._open.append(name)
        for line in _read(name).splitlines():
            directive = _DIRECTIVE.fullmatch(line)
            if directive is None:
                yield line
                continue
            for word in directive[2].split(", "):
                if word not in self._done:
                    yield from self._lines_for(directive[1], word)
                self._done.add(word)
        self._open.pop()

    def _lines_for(self, directive: str, word: str) -> Iterator[str]:
        if directive == "include":
            yield from self.lines_of(f"_{word}")
        else:
            yield f"local {word} = {_literal(word)}"


def _read(name: str) -> str:
    try:
        return files("ltq.brokers.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"there is no Lua file {name!r}") from None


def _literal(name: str) -> str:
    """A constant as Lua writes it."""
    try:
        value = CONSTANTS[name]
    except KeyError:
        raise ConfigurationError(f"there is no constant {name!r} for Lua scripts") from None
    return f'"{value}"' if isinstance(value, str) else f"{value}"
