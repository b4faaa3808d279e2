"""The texts of the Lua scripts: read from `lua/`, put together, and named by their hash.

A script, and the head of an include, may have these directives, each on a line of its own:

    -- @include time, reindex        inserts `lua/_time.lua` and `lua/_reindex.lua`, as far as used
    -- @constant DEAD_TTL            writes 604800, Python's value, for each DEAD_TTL of the file

An include may include others. Each text is inserted once, before all that needs it. Includes expect
one name without saying so: `prefix`, which every script binds first. Each call of a script makes
its variables and functions again, so constants are no variables, and functions that nothing calls
are left out. Another directive stands before a function that few calls of a script need:

    -- @rare                         makes it before each statement that calls it, with what only it
                                     calls; such a statement begins its line or follows then, else
                                     or do, otherwise a `ConfigurationError` is raised

No script begins with `#!lua`. When memory is short, Redis 7 refuses such a script as a whole, but
finishing must go on: a script may write if its first write frees memory. Redis 6.2 does not know
that line.
"""

import hashlib
import math
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache

from ltq.broker import flows, history, isolation, moving, schedule_slots
from ltq.brokers._rules import constants
from ltq.errors import ConfigurationError
from ltq.message import ELEMENT
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

ALL_NOTES = "history listed"
"""What scripts note beside their changes, as `lua/_notes.lua` reads it."""

CONSTANTS = {
    "ADOPTED_TTL": moving.ADOPTED_TTL,
    "ALL_NOTES": ALL_NOTES,
    "ANNOUNCE_AGAIN": constants.ANNOUNCE_AGAIN,
    "BUCKETS_A_DOUBLING": history.BUCKETS_A_DOUBLING,
    "BUCKETS_A_LOG": history.BUCKETS_A_DOUBLING / math.log(2),
    "CLAIM_KEPT": constants.CLAIM_KEPT,
    "DEAD_TTL": DEAD_TTL,
    "DEFAULT_MAX_DELIVERIES": DEFAULT_MAX_DELIVERIES,
    "DEFAULT_PRIORITY": f"{Priority.NORMAL:d}",
    "DEFAULT_RESULT_TTL": DEFAULT_RESULT_TTL,
    "ELEMENT": str(ELEMENT),
    "ENDED_TTL": constants.ENDED_TTL,
    "FIRST_BUCKET": history.FIRST_BUCKET,
    "FLOW_KEY": flows.FLOW_KEY,
    "OUTLINE_KEY": flows.OUTLINE_KEY,
    "HELD": int(flows.HELD),
    "HIGHEST_PRIORITY": int(min(Priority)),
    "HISTORY_TTL": constants.HISTORY_TTL,
    "ISOLATION_BASE": isolation.ISOLATION_BASE,
    "ITEMS_TTL": constants.ITEMS_TTL,
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
    "MOST_LOOKED": constants.MOST_LOOKED,
    "MOST_SKIPPED": 1_000_000,
    "NOTE": flows.NOTE,
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

_INCLUDES = re.compile(r"-- @include (\w+(?:, \w+)*)")
_CONSTANTS = re.compile(r"^-- @constant (\w+(?:, \w+)*)\n?", re.MULTILINE)
_FUNCTION = re.compile(
    r"^(?P<rare>-- @rare\n)?(?P<text>local function (\w+)\([^()]*\)(?: --.*)?"
    r"(?: .* end(?: --.*)?\n|\n(?:.*\n)*?end\n))",
    re.MULTILINE,
)
_CALL = re.compile(r"\b(\w+)\(")
_BEGIN = re.compile(r"\b(?:then|else|do)(?= )")
_ENDS_BLOCK = re.compile(r"\b(?:elseif|else|end|until)\b")
_GOES_ON = re.compile(
    r"(?:\b(?:and|or|not|in|return|local|if|elseif|while|until)|[-+*/%^=<>~.,])\s*$"
)
_LONGEST_WORD = len("elseif")
_FROM_BEFORE = re.compile(r"\s*(?:(?:and|or|then|do)\b|[-+*/%^=<>~.,:])")
_NO_CODE = re.compile(r"^--\[\[(?:.*\n)*?\]\]\n|--.*|'.*?'|\".*?\"", re.MULTILINE)
_WORD = re.compile(r"\w+")


@cache
def source(name: str) -> str:
    """The whole text of a script, as the server gets it."""
    whole = "\n".join(_Assembly().lines_of(name)) + "\n"
    return _Functions(whole).placed()


@cache
def sha(name: str) -> str:
    """The hash by which the server knows a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


class _Functions:
    """Leaves out functions that nothing calls, and makes the rare ones where they are called."""

    def __init__(self, whole: str) -> None:
        self._whole = whole
        functions = {function[3]: function for function in _FUNCTION.finditer(whole)}
        code = {name: _code(function[0]) for name, function in functions.items()}
        frequent = {name: code[name] for name in code if not functions[name]["rare"]}
        self._usual = _called(_code(_FUNCTION.sub("", whole)), frequent)
        self._others = {name: code[name] for name in code if name not in self._usual}
        self._texts = {name: functions[name]["text"] for name in self._others}

    def placed(self) -> str:
        """The script, with each function where it is needed."""
        usual = _FUNCTION.sub(lambda one: one[0] if one[3] in self._usual else "", self._whole)
        code = _NO_CODE.sub(_blank, usual)
        placed, before = "", ""
        for line, its_code in zip(usual.splitlines(True), code.splitlines(True), strict=True):
            placed += self._with_rare(line, its_code, before) if "(" in its_code else line
            before += its_code
        return placed

    def _with_rare(self, line: str, code: str, before: str) -> str:
        """A line, and before the statement in it the functions that are made for its calls.

        `code` is the line without comments and texts, and `before` all lines before it.
        """
        if self._others.keys().isdisjoint(_CALL.findall(code)):
            return line
        calls = [call for call in _CALL.finditer(code) if call[1] in self._others]
        made = _called(code, self._others)
        texts = "".join(text for name, text in self._texts.items() if name in made)
        begun = [one.end() for one in _BEGIN.finditer(code, 0, calls[0].start())]
        place = begun[-1] if begun else 0
        if _ENDS_BLOCK.search(code, place, calls[-1].start()) or not (
            begun or _is_statement(code, before)
        ):
            raise ConfigurationError(
                f"a Lua statement that calls {calls[0][1]!r} should begin its line or follow then, "
                f"else or do: {line.strip()!r}"
            )
        return f"{line[:place]}\n{texts}{line[place + 1 :]}" if begun else texts + line


def _is_statement(line: str, before: str) -> bool:
    """Whether a line begins a statement, by the code before it."""
    depth = sum(before.count(one) for one in "([{") - sum(before.count(one) for one in ")]}")
    end = before.rstrip()[-_LONGEST_WORD - 1 :]
    return depth == 0 and not (_GOES_ON.search(end) or _FROM_BEFORE.match(line))


def _blank(text: re.Match[str]) -> str:
    """As many spaces, on as many lines."""
    return "\n".join(" " * len(line) for line in text[0].split("\n"))


def _code(text: str) -> str:
    """A text without comments and texts."""
    return _NO_CODE.sub("", text)


def _called(code: str, functions: Mapping[str, str]) -> set[str]:
    """The functions, by their names, that some code calls, and those that these call."""
    called, texts = set[str](), [code]
    while texts:
        found = functions.keys() & set(_WORD.findall(texts.pop())) - called
        called |= found
        texts += [functions[name] for name in found]
    return called


class _Assembly:
    """Puts one script together."""

    def __init__(self) -> None:
        self._done: set[str] = set()
        """The includes that are in the text already."""
        self._open: list[str] = []
        """The files that are being read, each one included by the one before it."""

    def lines_of(self, name: str) -> Iterator[str]:
        """The lines of a file in `lua/`, with what it includes and the values of its constants."""
        if name in self._open:
            raise ConfigurationError(
                f"Lua files include each other: {' > '.join([*self._open, name])}"
            )
        self._open.append(name)
        for line in _with_values(_read(name)).splitlines():
            includes = _INCLUDES.fullmatch(line)
            if includes is None:
                yield line
            else:
                yield from self._included(includes[1].split(", "))
        self._open.pop()

    def _included(self, names: list[str]) -> Iterator[str]:
        for name in names:
            if name not in self._done:
                yield from self.lines_of(f"_{name}")
            self._done.add(name)


def _with_values(text: str) -> str:
    """A text with the values of the constants that it declares, and without these directives."""
    declared = _CONSTANTS.findall(text)
    values = {name: _literal(name) for names in declared for name in names.split(", ")}
    if not values:
        return text
    names = re.compile(rf"\b(?:{'|'.join(values)})\b")
    return names.sub(lambda name: values[name[0]], _CONSTANTS.sub("", text))


def _read(name: str) -> str:
    try:
        data = pkgutil.get_data("ltq.brokers.redis", f"lua/{name}.lua")  # in a zip file, too
    except FileNotFoundError:
        data = None
    if data is None:
        raise ConfigurationError(f"there is no Lua file {name!r}")
    return data.decode()


def _literal(name: str) -> str:
    """A constant as Lua writes it."""
    try:
        value = CONSTANTS[name]
    except KeyError:
        raise ConfigurationError(f"there is no constant {name!r} for Lua scripts") from None
    return f'"{value}"' if isinstance(value, str) else f"{value}"
