"""The shape of the code: layers, rooms, file sizes, and habits that a linter does not know.

See `docs/architecture.md` for why. A new module of `ltq` gets its layer in `devtools/layers.py`.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from devtools import layers
from devtools.layers import LAYERS, layer_of
from devtools.sleeps import sleeps
from devtools.source import (
    FILES,
    IMPORTERS,
    PACKAGE,
    ROOT,
    called,
    calls,
    folder_of,
    folder_sizes,
    imports,
    is_public,
    named_imports,
    nodes,
    packages,
    place_imports,
    room_of,
    trees,
)
from devtools.surface import shown_types

pytestmark = pytest.mark.slow

TESTS = ROOT / "tests"
SUITE = PACKAGE / "testing" / "conformance"

SEAM = ("errors", "logger", "message", "_aio.", "broker", "_worker.protocols")
"""What every part of a worker may know, by the beginnings of names: the seam, the lifecycle, and
the protocols by which the parts are joined."""

PARTS = {
    "_worker.fetcher": {"_worker.isolation"},
    "_worker.task_pool": {
        "_display.errors",
        "_worker.isolation",
        "_worker.leftover_threads",
        "_worker.threads",
        "events",
        "state",
    },
    "_worker.executor": {
        *("_codec.codec", "_display.errors"),
        *("_worker.invoker", "_worker.observed", "_worker.outcomes", "_worker.threads"),
        "_worker.streaming.streams",
        *("context", "middleware", "middleware._order", "middleware.max_age"),
        *("options", "task", "_declared"),
    },
    "_worker.heartbeat": set[str](),
    "_worker.completer": set[str](),
    "_worker.leases": set[str](),
    "_worker.upkeep.lookout": {"names", "state"},
    "_worker.upkeep.waiting": {"handle", "state"},
    "_worker.upkeep.repair": set[str](),
    "_worker.upkeep.registration": {"names"},
}
"""The parts of a worker, and what each may know besides the seam. They do not know one another:
`_worker.parts` joins them. Only the executor knows what a task and its middleware are."""

STARTERS = {
    *("ltq._aio.service", "ltq.context"),
    *("ltq.handles", "ltq.notebook", "ltq.middleware.prometheus"),
    *("ltq.cli.demo.command", "ltq.cli.run._reload"),
    *("ltq.testing.box", "ltq.testing._loops", "ltq.testing._box_broker"),
}
"""Modules that start asyncio tasks themselves, mostly because users' code runs in them, and in the
user's context. Background work is a `Service`."""

SHARED_BY_BROKERS = r"ltq\.brokers\.(_rules(\.\w+)?|_follow|_sessions)"
"""What brokers may have in common."""

OUTSIDE = {
    "redis": r"ltq\.brokers\.redis\..+",
    "psycopg": r"ltq\.brokers\.postgres\..+",
    "greenlet": r"ltq\.brokers\.postgres\._server\.bridge",
    **dict.fromkeys(("aiormq", "pamqp", "yarl"), r"ltq\.brokers\.rabbitmq\..+"),
    "click": r"ltq\.cli\..+",
    "rich": r"ltq\.(cli\..+|notebook)",
    "croniter": r"ltq\._cron\.\w+",
    "pytest": r"ltq\.testing\.(plugin|conformance\..+)",
    "pytest_asyncio": r"ltq\.testing\.conformance\..+",
    "pydantic": "nowhere",
    "starlette": r"ltq\.(web|cli\.web)(\..+)?",
    "jinja2": r"ltq\.(web|cli\.web)(\..+)?",
    "uvicorn": r"ltq\.cli\.web(\..+)?",
    "django": r"ltq\.contrib\.django(\..+)?",
    "django_tasks": r"ltq\.contrib\.django\._tasks_api",
    "asgiref": r"ltq\.contrib\.django\..+",
    "sqlalchemy": r"ltq\.(contrib\.sqlalchemy|brokers\.sqlite\._enlist\.from_sqlalchemy)",
    "argon2": r"ltq\.(web\._door\.passwords|cli\.web)",
}
"""Packages that stay behind a seam, and the modules that may import them."""

BY_NAME = {
    *("ltq.broker._named.factories", "ltq.middleware.sentry"),
    *("ltq.cli._user_module", "ltq.cli._lazy", "ltq.cli.demo.command"),
    *("ltq.contrib.django", "ltq.contrib.django.staff"),
}
"""Where a module is imported by its name at run time: brokers by scheme, an extra, a user's,
commands when they are called, and what Django's settings name."""

LONGEST = 400
MOST_MODULES = 20
JUNK = {"utils", "util", "helpers", "helper", "common", "misc"}

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def parts_of_broker(module: str) -> set[str]:
    """The modules in `ltq.brokers` that a broker is made of."""
    parts, left = set(), {module}
    while left:
        part = left.pop()
        parts.add(part)
        left |= {name for name in imports(part) if name.startswith("ltq.brokers.")} - parts
    return parts


def cycle_in(graph: Mapping[str, set[str]]) -> str:
    """The names of a cycle; empty if there is none."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def is_log_call(node: ast.Call) -> bool:
    match node.func:
        case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=method) if (
            method in LOG_METHODS
        ):
            return name.lower().strip("_").endswith(("logger", "log", "logging"))
    return False


def is_formatted(argument: ast.expr) -> bool:
    match argument:
        case ast.JoinedStr():
            return True
        case ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr()):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format")):
            return True
    return False


class TestLayers:
    def test_every_module_has_a_layer(self) -> None:
        missing = [module for module in FILES if layer_of(module) is None]
        assert missing == [], "put it into LAYERS of devtools/layers.py"

    def test_no_module_has_two_layers(self) -> None:
        named = [name for layer in LAYERS for name in layer.modules]
        assert len(named) == len(set(named))

    def test_every_name_in_the_table_is_a_module(self) -> None:
        named = {name.removesuffix(".*") for layer in LAYERS for name in layer.modules}
        known = {module.removeprefix("ltq.") for module in FILES} | {"__init__"}
        assert named <= known

    def test_imports_go_down_or_stay_in_a_layer(self) -> None:
        assert [
            f"{module} ({layer_of(module)}) imports {name} ({layer_of(name)})"
            for module in FILES
            for name in sorted(imports(module))
            if (layer_of(name) or 0) > (layer_of(module) or 0)
        ] == []

    def test_there_is_no_cycle(self) -> None:
        assert not cycle_in({module: imports(module) for module in FILES})

    def test_the_table_in_the_docs_is_that_of_the_code(self) -> None:
        assert layers.written() == layers.table(), f"run: {layers.COMMAND}"

    @pytest.mark.parametrize("part", PARTS)
    def test_a_part_of_a_worker_knows_the_seam_and_what_it_must(self, part: str) -> None:
        known = {name.removeprefix("ltq.") for name in imports(f"ltq.{part}")}
        assert {name for name in known if not name.startswith(SEAM)} == PARTS[part]

    def test_background_work_is_started_by_services(self) -> None:
        starters = {
            module
            for module, name in calls()
            if name in ("create_task", "ensure_future")
            if not FILES[module].is_relative_to(SUITE)
        }
        assert starters <= STARTERS

    def test_only_the_top_layer_knows_the_brokers(self) -> None:
        assert [
            f"{module} imports {name}"
            for module in FILES
            for name in imports(module)
            if name.startswith("ltq.brokers") and not module.startswith("ltq.brokers")
            if layer_of(module) != len(LAYERS) - 1
        ] == []

    def test_brokers_share_their_rules_and_nothing_else(self) -> None:
        shared = parts_of_broker("ltq.brokers.memory") & parts_of_broker("ltq.brokers.redis")
        assert [name for name in sorted(shared) if not re.fullmatch(SHARED_BY_BROKERS, name)] == []

    def test_the_rules_of_brokers_are_given_their_time_and_wait_for_nothing(self) -> None:
        impure = {"asyncio", "logging", "random", "threading", "time"}
        rules = [module for module in FILES if module.startswith("ltq.brokers._rules")]
        assert [module for module in rules if packages(module) & impure] == []


class TestRooms:
    """A room is a folder directly in `ltq`, or a module there."""

    @pytest.mark.parametrize("place_of", [room_of, folder_of])
    def test_imports_go_down_between_them(self, place_of: Callable[[str], str]) -> None:
        assert not cycle_in(place_imports(place_of))

    def test_no_folder_is_crowded(self) -> None:
        sizes = folder_sizes()
        crowded = {folder: size for folder, size in sizes.items() if size > MOST_MODULES}
        assert crowded == {}, "is it two roles?"

    def test_public_signatures_show_types_of_public_modules_only(self) -> None:
        private = {
            f"{module}.{name}, shown by {owner}"
            for owner, module, name in shown_types()
            if not is_public(module)
        }
        assert sorted(private) == [], "move the type into a public module"

    def test_nobody_outside_asks_which_broker_it_is(self) -> None:
        assert [
            place
            for place, node in nodes()
            if not place.startswith("ltq.brokers.")
            if isinstance(node, ast.Call) and called(node) in ("isinstance", "issubclass")
            if any(name.endswith("Broker") and name != "Broker" for name in names_in(node))
        ] == [], "let the broker answer by a method of the seam"


def names_in(node: ast.AST) -> set[str]:
    """The names and attributes that a piece of code reads."""
    found = ast.walk(node)
    return {
        one.id if isinstance(one, ast.Name) else one.attr
        for one in found
        if isinstance(one, ast.Name | ast.Attribute)
    }


class TestImports:
    def test_none_is_relative(self) -> None:
        assert [
            place for place, node in nodes() if isinstance(node, ast.ImportFrom) and node.level
        ] == []

    def test_those_of_ltq_stand_at_the_top_and_hold_at_run_time(self) -> None:
        # In a function or under TYPE_CHECKING they would only hide that a layer is wrong.
        top = {id(node) for tree in trees().values() for node in tree.body}
        assert [
            place
            for place, node in nodes()
            if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in top
            if any(name.partition(".")[0] == "ltq" for name in named_imports(node))
        ] == []

    def test_a_package_behind_a_seam_is_imported_only_there(self) -> None:
        assert [
            f"{module} imports {package}"
            for module in FILES
            for package in sorted(packages(module) & set(OUTSIDE))
            if not re.fullmatch(OUTSIDE[package], module)
        ] == []

    def test_few_modules_import_by_name(self) -> None:
        assert {module for module, name in calls() if name in IMPORTERS} <= BY_NAME


class TestFiles:
    def test_none_is_long(self) -> None:
        lengths = {module: path.read_text("utf-8").count("\n") for module, path in FILES.items()}
        long = {module: lines for module, lines in lengths.items() if lines > LONGEST}
        assert long == {}, "is it two files?"

    def test_none_is_a_junk_drawer(self) -> None:
        names = {module: {part.strip("_") for part in module.split(".")} for module in FILES}
        assert [module for module, words in names.items() if words & JUNK] == []

    def test_what_is_hidden_from_the_type_checker_has_a_reason(self) -> None:
        bare = re.compile(r"# type: ignore(\[[\w, -]+\])?$", re.MULTILINE)
        texts = {module: path.read_text("utf-8") for module, path in FILES.items()}
        assert [module for module, text in texts.items() if bare.search(text)] == []

    def test_each_says_what_it_is(self) -> None:
        assert [module for module, tree in trees().items() if not ast.get_docstring(tree)] == []


class TestLogging:
    def test_arguments_are_not_formatted_beforehand(self) -> None:
        assert [
            place
            for place, node in nodes()
            if isinstance(node, ast.Call) and is_log_call(node)
            if any(is_formatted(argument) for argument in node.args)
        ] == []


@pytest.mark.slow
class TestTests:
    def test_they_wait_for_events_and_do_not_sleep(self) -> None:
        found = [told for path in files_of_tests() for told in sleeps_in(path)]
        assert found == [], f"wait for an event, or say {OWN_TIME!r} where a task takes time"

    def test_time_that_has_to_pass_says_why(self) -> None:
        bare = [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for path in files_of_tests()
            if "elapse" in (text := path.read_text("utf-8"))
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and called(node) == "elapse" and not says_why(node)
        ]
        assert bare == [], "elapse(seconds, why): the reason is a text, written there"

    def test_no_two_files_have_the_same_name(self) -> None:
        names = Counter(path.name for path in TESTS.rglob("test_*.py"))
        twice = [name for name, count in names.items() if count > 1]
        assert twice == [], "pytest collects only one of them"

    @pytest.mark.parametrize(
        "code",
        [
            "await asyncio.sleep(1)",
            "await asyncio.to_thread(time.sleep, 1)",
            "async with asyncio.timeout(1):\n    await asyncio.Event().wait()",
            "await asyncio.wait_for(asyncio.Event().wait(), 1)",
            "await asyncio.wait([task], timeout=0.02)",
            "threading.Event().wait(0.02)",
            "select.select([], [], [], 0.02)",
        ],
    )
    def test_a_sleep_by_another_name_is_found(self, code: str) -> None:
        assert list(sleeps(ast.parse(code)))

    @pytest.mark.parametrize(
        "code",
        [
            "await asyncio.sleep(0)",
            "await asyncio.Event().wait()",  # a task that runs until it is cancelled
            "done, _ = await asyncio.wait([task], timeout=5)",
            "async with asyncio.timeout(5):\n    await ready.wait()",
            "await asyncio.wait_for(ready.wait(), 5)",
        ],
    )
    def test_a_wait_with_a_limit_is_none(self, code: str) -> None:
        assert not list(sleeps(ast.parse(code)))


OWN_TIME = "# the task's own time"
"""Marks a line where the code under test takes time: a task that sleeps, a fault that lasts."""

POLLERS = {
    "tests/eventually.py",
    "tests/elapse.py",
    "ltq/testing/conformance/_support/eventually.py",
}


def files_of_tests() -> Iterator[Path]:
    """All files of the tests, and of the suite that brokers are tested with, but the pollers."""
    for path in sorted([*TESTS.rglob("*.py"), *SUITE.rglob("*.py")]):
        if str(path.relative_to(ROOT)) not in POLLERS:
            yield path


def sleeps_in(path: Path) -> Iterator[str]:
    """The lines of a file that only let time pass, unless they are marked."""
    text = path.read_text("utf-8")
    lines = text.splitlines()
    for number in sorted(set(sleeps(ast.parse(text)))):
        if OWN_TIME not in lines[number - 1]:
            yield f"{path.relative_to(ROOT)}:{number}: {lines[number - 1].strip()}"


def says_why(call: ast.Call) -> bool:
    match call.args:
        case [_, ast.Constant(value=str(why))]:
            return bool(why)
        case [_, ast.JoinedStr()]:
            return True
    return False
