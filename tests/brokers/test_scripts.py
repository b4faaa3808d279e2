"""The Lua scripts as texts, what they are told to do, and what they leave behind on a real server.

`lua/README.md` is held to the scripts and to `_server/keys.py`.
"""

import inspect
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pytest
import redis

import ltq.brokers.redis
from ltq.broker.flows import HELD, Arrival
from ltq.broker.schedule_slots import ScheduleSlot
from ltq.brokers._rules.constants import THROUGHPUT_STEP
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._scripts import texts
from ltq.brokers.redis._scripts.calls import SCRIPTS
from ltq.brokers.redis._scripts.script import Script
from ltq.brokers.redis._scripts.texts import CONSTANTS, sha, source
from ltq.brokers.redis._server.keys import keyspace
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.brokers.redis._server.link import Link
from ltq.errors import BrokerError, ConfigurationError, LtqError, TaskNotFoundError
from ltq.message import Delivery, Failure, Finish, Outcome, Receipt, Requeue
from ltq.names import new_id
from ltq.options import Limit, Priority, Rate
from ltq.state import Progress, Status
from ltq.testing.conformance._schedules.kept import make_schedule
from tests.conformance.factories import claim_one, lose, make_worker_entry, publish, publish_many
from tests.eventually import eventually
from tests.for_each import for_each

LUA = Path(ltq.brokers.redis.__file__).parent / "lua"
LONGEST = 80
HEADER = re.compile(r"--\[\[\n(.*?)\n\]\]\n(.*)", re.DOTALL)
ARGUMENT = re.compile(r"^ARGV\[(\d+)(\.\.\.)?\] +(\w+)", re.MULTILINE)
DIRECTIVE = re.compile(r"-- @(include|constant) (\w+(?:, \w+)*)")
RARE = "-- @rare"
INNER = re.compile(r"(?<=\n)local function (?:.* end(?: --.*)?|(?:.*\n)*?end)\n")
"""A function that is made before a line of another one, which calls it."""

CUT = re.compile(r"^( *(?:if|for) .*\b(?:then|else|do))\n(?=[^\s-])", re.MULTILINE)
"""Where such a function was put between the parts of a line."""

FILES = sorted(path.stem for path in LUA.glob("*.lua"))
LUA_NAMES = {
    *(
        "redis",
        "string",
        "table",
        "math",
        "select",
        "type",
        "tonumber",
        "ipairs",
        "pairs",
        "unpack",
    ),
    *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in"),
    *("local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"),
}
"""What Lua itself offers, as far as it is used here, and its keywords."""
NEVER_THERE = {"none"}
"""What is deleted for the deleting's sake, and written by nobody."""

NOT_IN_LUA = {"repaired", "probe", "replicated"}
"""What the broker uses without a script."""

OF_NO_NAMESPACE = {"namespaces": keys.namespaces, "schedule_marks": keys.schedule_marks}
"""The keys of no namespace."""

PASSING = {"copied", "copied_skips", "probe", "replicated"}
"""What is there during a call only, or a second longer."""

each_script = for_each("name", SCRIPTS)


@cache
def text_of(name: str) -> str:
    return (LUA / f"{name}.lua").read_text("utf-8")


def split(name: str) -> tuple[str, str]:
    """A script's header and its body."""
    match = HEADER.fullmatch(text_of(name))
    assert match is not None, f"{name}.lua does not begin with a header"
    return match[1], match[2]


def without_comments(lua: str) -> str:
    return re.sub(r"--.*", "", lua)


def words(file: str, directive: str) -> list[str]:
    """What a file names in its `@include` or `@constant` lines."""
    lines = map(DIRECTIVE.fullmatch, text_of(file).splitlines())
    return [word for line in lines if line and line[1] == directive for word in line[2].split(", ")]


def parts_of(name: str) -> set[str]:
    """The files that make up a script."""
    parts, left = set[str](), {name}
    while left:
        part = left.pop()
        parts.add(part)
        left |= {f"_{include}" for include in words(part, "include")} - parts
    return parts


@cache
def blocks(lua: str) -> tuple[str, ...]:
    """The functions at the top level of a text, and what stands between them and directives."""
    found, lines, opened, is_comment = list[str](), list[str](), 0, False
    for line in [*lua.splitlines(), "-- @include end"]:
        is_directive = line == RARE or DIRECTIVE.fullmatch(line)
        is_new = lines and (is_directive or line.startswith("local function "))
        was_function = lines and lines[0].startswith("local function ")
        if opened <= 0 and (is_new or was_function):
            found, lines, opened = [*found, "\n".join(lines)], [], 0
        if not is_directive:
            lines.append(line)
            is_comment = is_comment or line == "--[["
            opened += 0 if is_comment else depth(line)
            is_comment = is_comment and line != "]]"
    return tuple(block for block in found if block)


def without_inner(block: str) -> str:
    """A part of a script as it was, before functions were put where it calls them."""
    return CUT.sub(r"\1 ", INNER.sub("", block))


@cache
def written_out(text: str) -> str:
    """A text with the values of the constants that it names."""
    for name, value in CONSTANTS.items():
        quoted = f'"{value}"' if isinstance(value, str) else str(value)
        text = re.sub(rf"\b{name}\b", quoted, text)
    return text


def offered(include: str) -> set[str]:
    """The names that an include offers, as its head says."""
    head = text_of(include).partition("\nlocal ")[0]
    return set(re.findall(r"^-- (\w+)(?:\([^)]*\))?: ", head, re.MULTILINE))


def tokens(lua: str) -> list[str]:
    """Names, and the signs that tell what a name is."""
    code = re.sub(r"--\[\[.*?\]\]|--[^\n]*|'[^'\n]*'|\"[^\"\n]*\"", " ", lua, flags=re.DOTALL)
    return re.findall(r"[A-Za-z_]\w*|\.{2,3}|[<>=~]=|[.:={}]", re.sub(r"\b\d[\w.]*", " ", code))


def free_names(lua: str) -> set[str]:
    """What a file uses and does not define."""
    free, braces, all_tokens = set[str](), 0, ["", *tokens(lua), ""]
    for before, token, after in zip(all_tokens, all_tokens[1:], all_tokens[2:], strict=False):
        braces += (token == "{") - (token == "}")
        is_key = braces > 0 and after == "="
        if re.match(r"\w", token) and before not in (".", ":") and not is_key:
            free.add(token)
    code = without_comments(lua)
    lists = re.findall(r"\blocal ([\w, ]+)|\bfor ([\w, ]+) (?:in|=)|\bfor (\w+) =", code)
    lists += re.findall(r"\bfunction *[\w.]*()()\(([^)]*)\)", code)
    defined = {name for names in lists for part in names for name in re.findall(r"\w+", part)}
    return free - defined - set(re.findall(r"\blocal function (\w+)", code))


@cache
def depth(lua: str) -> int:
    """How many blocks are open at the end of a text."""
    found = tokens(lua)
    opened = sum(found.count(word) for word in ("function", "if", "do", "repeat"))
    return opened - found.count("end") - found.count("until")


class TestFiles:
    def test_every_script_is_listed_in_order(self) -> None:
        files = [path.stem for path in LUA.glob("*.lua") if not path.stem.startswith("_")]
        assert list(SCRIPTS) == sorted(files)

    @for_each("path", sorted(LUA.glob("*.lua")))
    def test_none_is_long(self, path: Path) -> None:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= LONGEST
        assert [line for line in lines if len(line) > 110 or line != line.rstrip()] == []

    def test_every_include_is_there_and_is_used(self) -> None:
        used = {f"_{name}" for file in FILES for name in words(file, "include")}
        assert used == {path.stem for path in LUA.glob("_*.lua")}

    def test_every_constant_is_used(self) -> None:
        assert {name for file in FILES for name in words(file, "constant")} == CONSTANTS.keys()

    @each_script
    def test_each_include_stands_in_it_once_as_far_as_it_is_used(self, name: str) -> None:
        whole = source(name)
        outer = [without_inner(block) for block in blocks(whole)]
        main = [block for block in blocks(whole) if not block.startswith("local function ")]
        beside = without_inner("\n".join(["", *main, ""]))
        left_out = set[str]()
        for part in parts_of(name):
            for block in map(written_out, blocks(text_of(part))):
                function = re.match(r"local function (\w+)", block)
                if function is None:
                    assert beside.count("\n{}\n".format(block.lstrip("\n"))) == 1
                elif block not in outer and f"\n{block}\n" not in whole:
                    left_out.add(function[1])
                assert outer.count(block) <= 1
        assert not left_out & set(tokens(whole))
        assert free_names(whole) <= LUA_NAMES | {"KEYS", "ARGV"}

    @each_script
    def test_what_a_part_of_it_uses_stands_before_or_within_it(self, name: str) -> None:
        known = LUA_NAMES | {"KEYS", "ARGV"}
        parts = HEADER.fullmatch(source(name))
        assert parts is not None
        for block in blocks(without_comments(parts[2])):
            assert free_names(block) <= known
            known |= set(re.findall(r"^local function (\w+)", block))
            for names in re.findall(r"^local ([\w, ]+)", block, re.MULTILINE):
                known |= set(re.findall(r"\w+", names))

    @each_script
    def test_a_function_that_nothing_calls_is_left_out(self, name: str) -> None:
        whole = source(name)
        functions = [block for block in blocks(whole) if block.startswith("local function ")]
        everywhere = Counter(tokens(whole))
        for function in functions:
            (called,) = re.findall(r"^local function (\w+)", function)
            within = whole.count(function) * tokens(function).count(called)
            assert everywhere[called] > within, "only by itself, or not at all"

    @each_script
    def test_it_names_no_constant(self, name: str) -> None:
        assert not CONSTANTS.keys() & set(tokens(source(name)))

    @each_script
    def test_it_may_be_loaded_by_any_server(self, name: str) -> None:
        assert not source(name).startswith("#!"), "see `texts.py`"


class TestIncludes:
    """What a file uses of others it names, and it cannot change where they go on."""

    @for_each("file", FILES)
    def test_it_includes_what_it_uses_and_nothing_else(self, file: str) -> None:
        includes = words(file, "include")
        offers = {include: offered(f"_{include}") for include in includes}
        given = {*words(file, "constant"), *(name for names in offers.values() for name in names)}
        free = free_names(text_of(file)) - LUA_NAMES - {"KEYS", "ARGV"}
        if file.startswith("_"):
            free.discard("prefix")
        assert free - given == set(), "it is neither included nor a constant"
        assert set(words(file, "constant")) <= free
        for include, names in offers.items():
            assert names & free, f"nothing of {include} is used"

    @for_each("file", [file for file in FILES if file.startswith("_")])
    def test_an_include_says_at_its_head_what_it_offers(self, file: str) -> None:
        text = text_of(file)
        told = re.findall(r"^-- (\w+)\(([^)]*)\): ", text, re.MULTILINE)
        defined = re.findall(r"^local function (\w+)\(([^)]*)\)", text, re.MULTILINE)
        assert told
        assert set(told) <= set(defined)
        values = {
            name
            for names in re.findall(r"^local ([\w, ]+) =", text, re.MULTILINE)
            for name in names.split(", ")
        }
        assert offered(file) <= values | {name for name, _ in defined}

    @for_each("file", [file for file in FILES if file.startswith("_")])
    def test_an_include_does_nothing_but_define(self, file: str) -> None:
        """No `return`, no loop and no call at the top: the script alone says what happens."""
        for line in text_of(file).splitlines():
            if line and not line.startswith((" ", "--")):
                assert re.match(r"(local |end$|\w+, )", line), line

    @for_each("file", FILES)
    def test_directives_stand_at_the_top_level(self, file: str) -> None:
        lines = text_of(file).splitlines()
        for number, line in enumerate(lines):
            if re.search(r"@[a-z]", line):
                assert line == RARE or DIRECTIVE.fullmatch(line), line
                assert line != RARE or lines[number + 1].startswith("local function ")
                assert depth("\n".join(lines[:number])) == 0, "in a function or a block"

    def test_rare_functions_are_made_where_they_are_called(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = [
            "-- @include b",
            "if again then usual() else first() end",
            "if again then",
            "  second() -- why",
            "end",
        ]
        include = [
            "local function inner() return 1 end",
            "local function usual() return 1 end",
            RARE,
            "local function first() -- why",
            "  return inner() + usual()",
            "end",
            RARE,
            "local function second()",
            "  return inner()",
            "end",
        ]
        files = {"a": "\n".join(script), "_b": "\n".join(include)}
        monkeypatch.setattr(texts, "_read", files.__getitem__)
        assert texts.source.__wrapped__("a").splitlines() == [
            "local function usual() return 1 end",
            "if again then usual() else",
            "local function inner() return 1 end",
            "local function first() -- why",
            "  return inner() + usual()",
            "end",
            "first() end",
            "if again then",
            "local function inner() return 1 end",
            "local function second()",
            "  return inner()",
            "end",
            "  second() -- why",
            "end",
        ]

    @pytest.mark.parametrize(
        "script",
        [
            ["if again then return 3 elseif odd() then", "  return 4", "end"],
            ["if again then odd() else odd() end"],
            ["if again then usual() end odd()"],
            ["if again then", "  return 3", "elseif odd() then", "  return 4", "end"],
            ["local found = {", "  odd() }"],
            ["local found =", "  odd()"],
            ["local found = usual()", "  and odd()"],
            ["return usual(1,", "  odd())"],
        ],
    )
    def test_a_call_for_which_there_is_no_place_is_told(
        self, script: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head = ["local function usual() return 1 end", RARE, "local function odd() return 1 end"]
        monkeypatch.setattr(texts, "_read", {"a": "\n".join([*head, *script])}.__getitem__)
        with pytest.raises(ConfigurationError, match="calls 'odd' should begin its line or follow"):
            texts.source.__wrapped__("a")

    def test_words_in_texts_and_comments_do_not_count(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd = "local function odd() return 1 end"
        script = [RARE, odd, "usual() -- {", "if again then usual('end') odd() end"]
        monkeypatch.setattr(texts, "_read", {"a": "\n".join(script)}.__getitem__)
        placed = ["usual() -- {", "if again then", odd, "usual('end') odd() end"]
        assert texts.source.__wrapped__("a").splitlines() == placed

    def test_files_that_include_each_other_are_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        files = {"a": "-- @include b", "_b": "-- @include c", "_c": "-- @include b"}
        monkeypatch.setattr(texts, "_read", files.__getitem__)
        with pytest.raises(ConfigurationError, match="a > _b > _c > _b"):
            texts.source.__wrapped__("a")

    @pytest.mark.parametrize("line", ["-- @include nothing", "-- @constant NOTHING"])
    def test_what_is_not_there_is_told(self, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
        read = texts._read
        monkeypatch.setattr(texts, "_read", lambda name: line if name == "a" else read(name))
        with pytest.raises(ConfigurationError, match=r"there is no .*(nothing|NOTHING)"):
            texts.source.__wrapped__("a")


class TestHeaders:
    @each_script
    def test_it_says_what_the_script_does_takes_and_returns(self, name: str) -> None:
        header, _ = split(name)
        assert header.startswith(f"{name}: ")
        assert re.search(r"^KEYS\[1\] +prefix ", header, re.MULTILINE)
        assert re.search(r"^RETURNS \S", header, re.MULTILINE)

    @each_script
    def test_its_arguments_are_the_fields_of_the_call(self, name: str) -> None:
        """By name and in order; `ARGV[n...]` is a list, the last field."""
        header, _ = split(name)
        arguments = ARGUMENT.findall(header)
        script = SCRIPTS[name]
        assert script.__struct_fields__ == ("prefix", *(argument for *_, argument in arguments))
        assert [int(number) for number, *_ in arguments] == [*range(1, len(arguments) + 1)]
        lists = [bool(dots) for _, dots, _ in arguments]
        types = get_type_hints(script)
        assert lists == [
            getattr(types[argument], "__origin__", None) is list for *_, argument in arguments
        ]
        assert not any(lists[:-1])

    @each_script
    def test_the_body_binds_each_argument_to_its_name(self, name: str) -> None:
        header, body = split(name)
        bound = dict[str, str]()
        for variables, values in re.findall(r"^local ([\w, ]+) = (.*)$", body, re.MULTILINE):
            pairs = zip(variables.split(", "), values.split(", "), strict=False)
            for variable, value in pairs:
                taken = re.fullmatch(r"(?:tonumber\()?((?:KEYS|ARGV)\[\d+\])\)?", value)
                if taken:
                    bound[taken[1]] = variable
        single = {
            f"ARGV[{number}]": argument
            for number, dots, argument in ARGUMENT.findall(header)
            if not dots
        }
        assert bound == {"KEYS[1]": "prefix"} | single
        used = re.findall(r"(?:KEYS|ARGV)\[\d+\]", without_comments(body))
        assert sorted(used) == sorted(bound), "after that its name says what it is"

    @each_script
    def test_it_takes_a_list_where_the_header_says_so(self, name: str) -> None:
        header, body = split(name)
        numbers = [int(number) for number, dots, _ in ARGUMENT.findall(header) if dots]
        reads = r"ARGV\[[^\d\]]|#ARGV|(?:unpack|pairs)\(ARGV|(?:read_\w+|send_plain)\(\d+\)"
        assert bool(numbers) == bool(re.search(reads, without_comments(body)))


class TestReplies:
    """Every reply is turned into values, or refused where its shape is wrong."""

    @pytest.mark.parametrize("reply", [[[1], 2], b"what", [b"what", 1], [None, None, None], None])
    async def test_one_of_a_wrong_shape_is_a_broker_error(
        self, reply: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def ask(*_: Any) -> Any:
            return reply

        monkeypatch.setattr(Link, "_exchange", ask)
        async with RedisBroker(redis_url) as broker:
            for name in SCRIPTS:
                with pytest.raises(BrokerError, match=f"reply to {name} "):
                    await broker._here().links.any.evaluate(call_of(name))


def call_of(name: str) -> Script[Any]:
    """A call of a script with nothing to do."""
    script, values = SCRIPTS[name], dict[str, Any]()
    for field, kind in get_type_hints(script).items():
        if field in script.__struct_fields__:
            is_list = getattr(kind, "__origin__", None) is list
            values[field] = [] if is_list else "1" if kind is str or field == "after" else 1
    return script(**{**values, "prefix": keys.prefix("nobody"), **ONE_ID.get(name, {})})


ONE_ID = {
    "states": {"ids": ["a", "b", "c", "d"]},
    "schedules": {"names": ["a", "b", "c", "d"]},
    "dead_letters": {"ids": ["a", "b", "c", "d"]},
    "pack": {"ids": ["a", "b", "c", "d"]},
    "holders": {"ids": ["a", "b", "c", "d"]},
    "served": {"lanes": ["a", "b", "c", "d"]},
    "stats": {"queues": ["a", "b", "c", "d"]},
}


KEEPS = {"put_schedule", "adopt_schedule", "claim", "unclaim"}
"""Scripts that keep something whatever they are called with. The last two keep, for a minute, that
a repeated claim gave nothing."""


class TestServer:
    @each_script
    def test_it_loads_under_the_hash_it_is_called_by(self, name: str, redis_url: str) -> None:
        with redis.Redis.from_url(redis_url) as client:
            assert client.script_load(source(name)) == sha(name)

    @for_each("name", [name for name in SCRIPTS if name not in KEEPS])
    def test_called_with_nothing_to_do_it_leaves_nothing_behind(
        self, name: str, redis_url: str
    ) -> None:
        header, _ = split(name)
        count = len([number for number, dots, _ in ARGUMENT.findall(header) if not dots])
        with redis.Redis.from_url(redis_url) as client:
            client.eval(source(name), 1, keys.prefix("nobody"), *["1"] * count)
            assert client.keys() == []


def key_functions() -> dict[str, Callable[..., str]]:
    """The methods of `Keys` that make something of a namespace: keys and channels."""
    functions = inspect.getmembers(keys, inspect.ismethod)
    return {
        name: function
        for name, function in functions
        if "namespace" in inspect.signature(function).parameters and name != "prefix"
    }


def pattern(function: Callable[..., str]) -> str:
    """What a method of `Keys` makes of its parameters' names."""
    names = inspect.signature(function).parameters
    return function(**{name: f"<{name}>" for name in names})


def kind_of(key: str) -> str:
    """`"ready"` of `"ltq:{shop}:ready:1:shop:pay"`."""
    match = re.match(r"ltq:(?:\{.*?\}:)?([a-z_]+)", key)
    assert match is not None, key
    return match[1]


def kinds_in(lua: str) -> set[str]:
    """The kinds of keys that a script builds from its prefix."""
    code = without_comments(lua)
    kinds = set(re.findall(r"(?:prefix|KEYS\[1\]) \.\. '([a-z_]+)", code))
    variables = set(re.findall(r"(?:prefix|KEYS\[1\]) \.\. ([a-z_]+)", code))
    assert variables <= {"index", "kind"}, "what else is built from the prefix?"
    for index, kind in re.findall(
        r"(?:reindex|move_due)\((?:'[a-z]+', )?'([a-z_]+)', '([a-z]+):'", code
    ):
        kinds |= {index, kind}
    kinds |= set(re.findall(r"first\('([a-z_]+)'\)", code))
    for names in re.findall(r"for _, index in ipairs\(\{(.*?)\}\)", code):
        kinds |= set(re.findall("'([a-z_]+)'", names))
    return kinds


class Row(NamedTuple):
    """A line of the README's table of keys."""

    key: str
    function: str
    type: str
    content: str
    life: str
    written_by: str
    read_by: str


README = (LUA / "README.md").read_text("utf-8")


def table(title: str) -> Iterator[list[str]]:
    """The rows of the table in a section of the README."""
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


ROWS = {row.function.strip("`"): row for row in (Row(*cells) for cells in table("Keys"))}
TRANSITION = re.compile(r"^    (\S+) --> (\S+)(?:: (.+))?$", re.MULTILINE)


class TestReadme:
    def test_its_tables_name_every_function_of_the_keys_module(self) -> None:
        channels = {cells[1].strip("`"): cells[0].strip("`") for cells in table("Channels")}
        assert {*ROWS, *channels} == {*key_functions(), *OF_NO_NAMESPACE, "keyspace"}
        assert channels["keyspace"] == keyspace("<database>", "<key>")  # type: ignore[arg-type]  # as it is written
        for name, function in key_functions().items():
            written = channels[name] if name in channels else ROWS[name].key.strip("`")
            assert written == pattern(function).replace("ltq:{<namespace>}:", "…")

    def test_its_types_are_those_of_the_docstrings(self) -> None:
        for name, function in key_functions().items():
            kind = (function.__doc__ or "").partition(":")[0].partition(" ")[0].lower()
            assert kind == (ROWS[name].type if name in ROWS else "pub/sub")

    def test_it_says_of_every_key_why_it_does_not_stay(self) -> None:
        for row in ROWS.values():
            assert re.match(r"TTL |bounded: |none until it is final, then TTL ", row.life), row.key

    @for_each("function", [name for name in ROWS if name not in OF_NO_NAMESPACE])
    def test_it_names_the_scripts_that_use_a_key(self, function: str) -> None:
        kind = kind_of(pattern(key_functions()[function]))
        named = set(re.findall(r"`(\w+)`", ROWS[function].written_by + ROWS[function].read_by))
        assert named & set(SCRIPTS) == {name for name in SCRIPTS if kind in kinds_in(source(name))}

    def test_every_field_of_a_task_is_in_its_table(self) -> None:
        fields = {name for cells in table("A task's hash") for name in re.findall(r"\w+", cells[0])}
        read = re.search(r"redis\.pcall\('HMGET'.*?\)", text_of("states"), re.DOTALL)
        assert read is not None
        assert set(re.findall(r"'([a-z_]+)'", read[0])) <= fields
        kept = {"task", "body", "queue", "lane", "priority", "ctx", "token", "tries", "deaths"}
        assert fields >= kept | {"timeout", "max_tries", "result_ttl", "max_deliveries"}

    def test_its_diagram_has_every_status_and_names_scripts(self) -> None:
        transitions = TRANSITION.findall(README)
        states = {state for begin, end, _ in transitions for state in (begin, end)}
        assert states == {status.value for status in Status} | {"[*]"}
        by = {script for *_, scripts in transitions for script in scripts.split(", ") if scripts}
        assert by == set(SCRIPTS) - {
            "states",
            "items",
            "stats",
            "tasks",
            "history",
            "dead_letters",
            "copy",
            "purge",
            "examine",
            "pause",
            "resume",
            "rights",
            "serve",
            "served",
            "announce",
            "holders",
            "leave",
            "workers",
            "pack",
            "adopt_dead",
            "adopt_schedule",
            "put_schedule",
            "remove_schedule",
            "pause_schedule",
            "changed_schedules",
            "schedules",
            "endings",
            "carried",
            "held",
        }

    def test_its_diagram_lets_no_final_status_change(self) -> None:
        for begin, end, script in TRANSITION.findall(README):
            if begin != "[*]" and Status(begin).is_final:
                assert (end, script) == ("[*]", "")


class TestKeysInLua:
    def test_they_are_those_of_the_keys_module(self) -> None:
        built = set[str]().union(*(kinds_in(source(name)) for name in SCRIPTS))
        named = {kind_of(pattern(function)) for function in key_functions().values()}
        assert (built - NEVER_THERE) | NOT_IN_LUA == named

    def test_what_is_never_there_is_only_deleted(self) -> None:
        lines = [line for name in SCRIPTS for line in source(name).splitlines()]
        for kind in NEVER_THERE:
            using = {without_comments(line).strip() for line in lines if f"'{kind}'" in line}
            assert using == {f"redis.call('DEL', prefix .. '{kind}')"}

    @each_script
    def test_nothing_is_looked_for_by_a_pattern(self, name: str) -> None:
        assert not re.search(r"'(KEYS|SCAN|FLUSH\w+|RANDOMKEY)'", source(name))


class TestKeysLeft:
    """After work of every kind, each key on the server ends by itself, or is bounded."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    async def work(self, broker: RedisBroker) -> None:
        """A little of everything. It leaves tasks in every state."""
        await publish_many(broker, 8)
        await publish(broker, priority=Priority.HIGH, result_ttl=60.0)
        await publish(broker, queue="mail:all", lane="mail:all/mail:send", ctx=b"{}", timeout=5.0)
        await publish(broker, queue="mail:all", delay=30.0)
        await publish(broker, fingerprint=new_id(), unique_for=60.0)
        await broker.fire(
            ScheduleSlot(schedule="daily", queue="mail:send", spec="", due=2**31, scheduler="abc")
        )
        await broker.announce(make_worker_entry())
        await broker.fire(ScheduleSlot(schedule="weekly", queue="mail:send", spec="", due=2**31))
        await broker.pause_schedule("mail:send", "weekly")
        await broker.resume_schedule("mail:send", "weekly")
        await broker.put_schedule(make_schedule("left"), 2**31)
        await broker.put_schedule(make_schedule("removed"), 2**31)
        await broker.remove_schedule("mail:send", "removed")
        waiting, later = await publish(broker), await publish(broker, delay=30.0)
        await broker.cancel(waiting.queue, waiting.id, 60.0)
        await broker.cancel(later.queue, later.id, 60.0)
        flow = b'{"ltq.flow":{}}'
        held = await publish(broker, eta=HELD, ctx=flow)
        await broker.arrive(held.queue, [Arrival(held.id, 0, 2, b"1")])
        ended = await publish(broker, ctx=flow)
        await broker.cancel(ended.queue, ended.id, 60.0)
        limits = {"mail:all/mail:send": Limit(Rate(1, 1), 5)}
        queues = ["mail:send", "mail:all/mail:send"]
        async with broker.consumer(queues, lease=30.0, limits=limits) as consumer:
            deliveries = (await consumer.claim(8)).deliveries
            await self.end(broker, deliveries)
            await consumer.claim(1)
        await broker.pause("mail:paused")
        await self.move(broker)

    async def move(self, broker: RedisBroker) -> None:
        """A task and a dead letter go to another store and come back."""
        task = await publish(broker)
        (letter,) = await broker.dead_letters("mail:send", limit=1)
        packed = await broker.pack("mail:send", [task.id])
        packed += await broker.pack_dead("mail:send", [letter.id])
        parcels = [parcel for parcel in packed if parcel is not None]
        await broker.drop(parcels)
        await broker.adopt(parcels)

    async def end(self, broker: RedisBroker, deliveries: list[Delivery]) -> None:
        leases = [delivery.lease for delivery in deliveries]
        await broker.heartbeat(leases, 30.0)
        await broker.progress(leases[0], Progress(1))
        for lease in leases[:6]:
            await broker.append(lease, 0, [b"1"], 10)
        failure = Failure("ValueError", "ValueError: text", "Traceback ...")
        outcomes: list[Outcome] = [
            Finish(leases[0], Status.COMPLETED, b"1"),
            Finish(leases[1], Status.COMPLETED, result_ttl=0),
            Finish(leases[2], Status.FAILED, failure=failure, dead=True),
            Finish(leases[3], Status.REJECTED, failure=failure, dead=True, result_ttl=0),
            Requeue(leases[4], failed=True, failure=failure),
            Requeue(leases[5], delay=30.0, failed=True, ctx=b'{"a":1}'),
        ]
        await broker.finish(outcomes)
        await broker.cancel(leases[6].queue, leases[6].id, 60.0)

    async def die(self, broker: RedisBroker) -> None:
        """Two workers die under their task: under one of them it is the last time."""
        once = await publish(broker)
        often = await publish(broker, max_deliveries=1)
        async with broker.consumer(["mail:send"], lease=0.05) as consumer:
            claimed = {delivery.lease.id for delivery in (await consumer.claim(100)).deliveries}
        assert {once.id, often.id} <= claimed

        async def over() -> bool:
            await broker.sweep(["mail:send"])
            states = await broker.states("mail:send", [once.id, often.id])
            statuses = [state and state.status for state in states]
            return statuses == [Status.PENDING, Status.REJECTED]

        await eventually(over, description="the end of both leases")

    async def test_each_has_the_life_that_the_readme_says(
        self, broker: RedisBroker, redis_url: str
    ) -> None:
        many = await publish_many(broker, 600, queue="mail:long")
        await broker.cancel("mail:long", many[300], 60.0)
        await broker.cancel_many("mail:long", status=Status.PENDING, older_than=3600)
        await self.work(broker)
        await self.die(broker)
        await self.work(broker)
        await broker.repair(["mail:send"], every=60)
        kinds = set()
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            for key in client.scan_iter():
                shared = [name for name, known in OF_NO_NAMESPACE.items() if known == key]
                row = ROWS[shared[0] if shared else kind_of(key)]
                ends = client.pttl(key) > 0
                if kind_of(key) == "task":
                    assert ends == Status(client.hget(key, "status") or "").is_final, key
                elif kind_of(key) == "slot":
                    assert ends == (client.hget(key, "put") is None), key
                else:
                    assert ends == row.life.startswith("TTL"), key
                assert client.type(key) == row.type, key
                kinds.add(kind_of(key))
        assert kinds | PASSING == {
            kind_of(row.key.strip("`").replace("…", "ltq:{}:")) for row in ROWS.values()
        }

    async def test_with_a_prefix_each_begins_with_it(self, redis_url: str) -> None:
        async with RedisBroker(f"{redis_url}?prefix=shop") as broker:
            await publish_many(broker, 3, queue="mail:long")
            await broker.cancel_many("mail:long", status=Status.PENDING)
            await self.work(broker)
            await self.die(broker)
            await broker.repair(["mail:send"])
            await broker.examine()
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            own = set(client.scan_iter())
        assert {key.partition(":")[0] for key in own} == {"shop"}
        assert {key.replace("shop", "ltq", 1) for key in own} >= {*OF_NO_NAMESPACE.values()}

    async def test_when_all_is_done_only_what_is_bounded_is_left(
        self, broker: RedisBroker, redis_url: str
    ) -> None:
        for _ in range(3):
            await self.work(broker)
            await self.die(broker)
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            await self.cancel_all(broker, client)
            await broker.leave(make_worker_entry())
            await broker.carried(
                "mail:send", [one.key for one in await broker.endings("mail:send")]
            )
            left = {key for key in client.scan_iter() if client.pttl(key) == -1}
            dead = client.zcard(keys.dead("mail", "mail:send"))
            markers = sum(client.zcard(key) for key in left if kind_of(key) == "wake")
        lanes = {"mail:send", "mail:all", "mail:all/mail:send"}
        assert left - {keys.wake("mail", lane) for lane in lanes} == {
            keys.namespaces,
            keys.lanes("mail"),
            keys.paused("mail"),
            keys.served("mail"),
            keys.running("mail", "mail:all/mail:send"),
            keys.schedule_marks,
            keys.schedules("mail"),
            keys.removed_schedules("mail"),
            keys.slot("mail", "left"),
        }
        assert markers <= len(lanes)
        assert dead == 9

    async def cancel_all(self, broker: RedisBroker, client: redis.Redis) -> None:
        """Cancel all tasks, and let a claim find that there is nothing more."""
        for key in client.scan_iter(match="*task:*"):
            with suppress(TaskNotFoundError):
                await broker.cancel("mail:send", key.rpartition("task:")[2], 60.0)
        async with broker.consumer(["mail:send", "mail:all/mail:send"]) as consumer:
            assert (await consumer.claim(100)).deliveries == []


class TestNoScriptStopsHalfway:
    """What a script has written stays when it fails, so it must not fail after its first write."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    @pytest.fixture
    def client(self, redis_url: str) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            yield client

    async def count(self, broker: RedisBroker) -> int:
        """How many tasks wait or work: those that are not lost."""
        (stats,) = await broker.stats(["mail:send"])
        return stats.pending + stats.delayed + stats.working

    async def test_a_claim_of_very_many_tasks_loses_none(self, broker: RedisBroker) -> None:
        await publish_many(broker, 5000)
        async with broker.consumer(["mail:send"]) as consumer:
            with suppress(LtqError):
                await consumer.claim(5000)
        assert await self.count(broker) == 5000

    async def test_a_result_that_shall_stay_for_ever_takes_no_other_task_with_it(
        self, broker: RedisBroker
    ) -> None:
        await publish_many(broker, 2)
        async with broker.consumer(["mail:send"]) as consumer:
            first, second = (await consumer.claim(2)).deliveries
        with suppress(LtqError):
            await broker.finish(
                [
                    Finish(first.lease, Status.COMPLETED, result_ttl=math.inf),
                    Finish(second.lease, Status.COMPLETED),
                ]
            )
        state = await broker.state("mail:send", second.lease.id)
        assert state.status.is_final or await self.count(broker) >= 1

    async def test_a_priority_that_is_none_takes_no_other_task_with_it(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2)
        client.hset(keys.task("mail", ids[0]), "priority", "high")
        async with broker.consumer(["mail:send"]) as consumer:
            deliveries = (await consumer.claim(2)).deliveries
            with suppress(LtqError):
                await broker.finish([Requeue(delivery.lease) for delivery in deliveries])
            claimed = (await consumer.claim(2)).deliveries
        assert ids[1] in {delivery.lease.id for delivery in claimed}

    @pytest.mark.parametrize("field", ["dequeue_count", "tries", "deaths", "requeue_count"])
    @pytest.mark.parametrize("value", ["", "abc", "inf", "nan", "-1", "1e400", "0x10"])
    async def test_a_counter_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, field: str, value: str
    ) -> None:
        ids = await publish_many(broker, 2)
        client.hset(keys.task("mail", ids[0]), field, value)
        async with broker.consumer(["mail:send"]) as consumer:
            for _ in range(2):
                deliveries = (await consumer.claim(10)).deliveries
                if field == "deaths" and len(deliveries) == 1:  # the other one runs alone
                    deliveries += (await consumer.claim(10)).deliveries
                assert {delivery.lease.id for delivery in deliveries} == set(ids)
                await broker.finish([Requeue(delivery.lease) for delivery in deliveries])
        assert await self.count(broker) == 2

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "abc",
            "-1",
            "1e30",
            "inf",
        ],
    )
    async def test_a_token_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, value: str
    ) -> None:
        ids = await publish_many(broker, 2)
        client.hset(keys.task("mail", ids[0]), "token", value)
        async with broker.consumer(["mail:send"]) as consumer:
            deliveries = (await consumer.claim(10)).deliveries
        assert {delivery.lease.id for delivery in deliveries} == set(ids)

    async def test_a_ready_key_of_another_type_is_buried(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2)
        self.spoil(client, ids[0])
        assert (await broker.states("mail:send", ids))[0] is None
        with pytest.raises(TaskNotFoundError):
            await broker.cancel("mail:send", ids[0], 60.0)
        async with broker.consumer(["mail:send"]) as consumer:
            (delivery,) = (await consumer.claim(2)).deliveries
        (stats,) = await broker.stats(["mail:send"])
        assert (delivery.lease.id, stats.working, stats.dead) == (ids[1], 1, 1)

    async def test_a_leased_key_of_another_type_is_gone(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2)
        async with broker.consumer(["mail:send"]) as consumer:
            first, second = (one.lease for one in (await consumer.claim(2)).deliveries)
        self.spoil(client, ids[0])
        assert await broker.heartbeat([first, second], 30.0) == [first]
        assert not await broker.progress(first, Progress(1))
        outcomes: list[Outcome] = [Requeue(first), Requeue(second)]
        assert await broker.finish(outcomes) == [Receipt.GONE, Receipt.OK]

    async def test_a_delayed_key_of_another_type_is_dropped(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2, delay=0.01)
        self.spoil(client, ids[0])

        async def promoted() -> int:
            return (await broker.sweep(["mail:send"])).promoted

        assert await eventually(promoted) == 1
        assert await self.count(broker) == 1

    async def test_a_cleared_key_of_another_type_does_not_stop_it(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = [*await publish_many(broker, 2), *await publish_many(broker, 2, delay=30.0)]
        self.spoil(client, ids[0])
        self.spoil(client, ids[2])
        assert await broker.clear("mail:send") == 4
        assert await self.count(broker) == 0

    def spoil(self, client: redis.Redis, task_id: str) -> None:
        """Put something else in the place of a task's hash."""
        client.delete(keys.task("mail", task_id))
        client.set(keys.task("mail", task_id), "text")
        client.expire(keys.task("mail", task_id), 60)


class TestRecovery:
    """What a dead worker leaves of its run in the task."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    async def test_its_progress_is_gone(self, broker: RedisBroker) -> None:
        task = await publish(broker)
        async with broker.consumer(["mail:send"], lease=0.05) as consumer:
            delivery = await claim_one(broker, consumer)
        await broker.progress(delivery.lease, Progress(1))
        await lose(broker, delivery)
        assert (await broker.state(task.queue, task.id)).progress is None

    async def test_a_buried_task_does_not_show_the_error_of_an_earlier_run(
        self, broker: RedisBroker
    ) -> None:
        task = await publish(broker, max_deliveries=1)
        async with broker.consumer(["mail:send"], lease=0.05) as consumer:
            delivery = await claim_one(broker, consumer)
            failure = Failure("ValueError", "ValueError: text", "Traceback ...")
            await broker.finish([Requeue(delivery.lease, failed=True, failure=failure)])
            delivery = await claim_one(broker, consumer)
        await lose(broker, delivery)
        state = await broker.state(task.queue, task.id)
        assert state.status is Status.REJECTED
        assert state.error is not None
        assert "killed its worker" in state.error
        assert not state.error_type
        assert state.traceback is None


class TestPace:
    """The counts that `stats` makes its rate of."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    @pytest.fixture
    def client(self, redis_url: str) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            yield client

    KEY = keys.throughput("mail", "mail:send")

    async def end(self, broker: RedisBroker, count: int) -> None:
        await publish_many(broker, count)
        async with broker.consumer(["mail:send"]) as consumer:
            deliveries = (await consumer.claim(count)).deliveries
            await broker.finish([Finish(one.lease, Status.COMPLETED) for one in deliveries])

    async def rate(self, broker: RedisBroker) -> float:
        (stats,) = await broker.stats(["mail:send"])
        return stats.rate

    def step(self, client: redis.Redis) -> int:
        return int(client.time()[0]) // THROUGHPUT_STEP

    async def test_what_ended_more_than_a_minute_ago_does_not_count(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        step = self.step(client)
        client.hset(self.KEY, mapping={str(step - age): "600" for age in range(31, 60)})
        assert await self.rate(broker) == 0.0
        client.hset(self.KEY, str(step - 2), "120")
        assert 120 / 60 <= await self.rate(broker) <= 120 / 56

    async def test_what_is_old_goes(self, broker: RedisBroker, client: redis.Redis) -> None:
        step = self.step(client)
        for age in (-3, -2, *range(1, 60)):
            client.hset(self.KEY, str(step - age), "1")
        client.hset(self.KEY, "garbage", "1")
        await self.end(broker, 1)
        assert set(client.hkeys(self.KEY)) <= {str(step - age) for age in range(-1, 30)}
        assert 60 < client.ttl(self.KEY) <= 120

    @pytest.mark.parametrize("value", ["", "garbage", "nan", "1e400", "9223372036854775807"])
    async def test_a_count_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, value: str
    ) -> None:
        step = self.step(client)
        client.hset(self.KEY, mapping={str(step): value, str(step + 1): value})
        await self.rate(broker)
        await self.end(broker, 2)
        await self.end(broker, 2)
        assert 0 < await self.rate(broker) < 1
        assert client.ttl(self.KEY) > 0

    async def test_a_call_writes_it_once(self, redis_url: str, client: redis.Redis) -> None:
        async with RedisBroker(f"{redis_url}?history=0") as broker:
            await self.end(broker, 1)
            client.config_resetstat()
            await self.end(broker, 100)
        assert client.info("commandstats")["cmdstat_hincrby"]["calls"] == 1
        assert [key for key in client.scan_iter() if "history" in key] == []

    async def test_a_history_costs_little_more(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        await self.end(broker, 1)
        client.config_resetstat()
        await self.end(broker, 100)
        assert client.info("commandstats")["cmdstat_hincrby"]["calls"] <= 20
