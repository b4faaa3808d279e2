"""The shape of the code: layers, file sizes, and habits that a linter does not know.

See `docs/` for why. A new module of `ltq` has to be given its layer here.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ltq"
TESTS = ROOT / "tests"

LAYERS: tuple[set[str], ...] = (
    {"errors", "state"},
    {"_aio.*"},
    {"options", "logger", "codec", "_names", "_cron.*", "_display.*"},
    {"message", "events", "_codec.*"},
    {"broker.*"},
    {"brokers._rules.*", "brokers._follow"},
    {"brokers.*", "handle", "handles", "notebook", "sync", "_sender.*"},
    {"task"},
    {"_declared", "context", "middleware.*"},
    {"schedule"},
    {"_worker.*", "_scheduler.*"},
    {"worker"},
    {"app", "scheduler"},
    {"testing.*", "cli.*", "__init__", "__main__"},
)
"""A module imports from its own layer and those before it.

`x.*` is a package with all in it, except what another name means more exactly.
"""

SEAM = ("errors", "logger", "message", "_aio.", "broker", "_worker.parts")
"""What every part of a worker may know, by the beginnings of names: the seam, the lifecycle, and
the protocols by which the parts are joined."""

PARTS = {
    "_worker.fetcher": {"_worker.isolation"},
    "_worker.task_pool": {"_worker.isolation", "_worker.outliving", "_worker.threads", "events"},
    "_worker.executor": {
        *("_worker.outcomes", "_worker.threads"),
        *("context", "middleware", "options", "task", "_declared"),
    },
    "_worker.heartbeat": set[str](),
    "_worker.completer": set[str](),
    "_worker.leases": set[str](),
    "_worker.repair": set[str](),
}
"""The parts of a worker, and what each may know besides the seam. They do not know one another:
`_worker.run` joins them. Only the executor knows what a task and its middleware are."""

STARTERS = {
    *("ltq._aio.service", "ltq._worker.task_pool", "ltq.worker", "ltq.context"),
    *("ltq.handles", "ltq.notebook", "ltq.middleware.prometheus"),
    *("ltq.cli.demo.command", "ltq.cli.run._reload"),
    *("ltq.testing._box", "ltq.testing._loops", "ltq.testing._store"),
    *("ltq.brokers.redis._consumer", "ltq.brokers.redis._dialer"),
}
"""Modules that start asyncio tasks themselves, mostly because users' code runs in them, and in the
user's context. Background work is a `Service`."""

SHARED_BY_BROKERS = r"ltq\.brokers\.(_rules(\.\w+)?|_follow)"
"""What brokers may have in common."""

OUTSIDE = {
    "redis": r"ltq\.brokers\.redis\..+",
    "click": r"ltq\.cli\..+",
    "rich": r"ltq\.(cli\..+|notebook)",
    "croniter": r"ltq\._cron\.\w+",
    "pytest": r"ltq\.testing\.plugin",
    "pydantic": "nowhere",
}
"""Packages that stay behind a seam, and the modules that may import them."""

BY_NAME = {
    *("ltq.broker._schemes", "ltq.middleware.sentry"),
    *("ltq.cli._target", "ltq.cli._lazy"),
}
"""Where a module is imported by its name at run time: brokers by scheme, an extra, a user's, and
commands when they are called."""

LONGEST = 400
JUNK = {"utils", "util", "helpers", "helper", "common", "misc"}
OWN_TIME = "# the task's own time"
POLLER = "tests/eventually.py"

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in FILES.items()}


def layer_of(module: str) -> int | None:
    """The number of a module's layer: of the most exact name that means it."""
    own = module.removeprefix("ltq").removeprefix(".") or "__init__"
    is_in_folder = module != "ltq" and FILES[module].parent != PACKAGE
    parts = own.split(".") if is_in_folder else []
    folders = [f"{'.'.join(parts[:count])}.*" for count in range(len(parts), 0, -1)]
    numbers = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    return next((numbers[name] for name in (own, *folders) if name in numbers), None)


def named_imports(node: ast.AST) -> Iterable[str]:
    """What an import statement, or a call of `import_module`, names: modules, and names in them."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module), level=0):
            return [f"{module}.{alias.name}" for alias in node.names]
        case ast.Call(args=[ast.Constant(value=str(module)), *_]) if called(node) in IMPORTERS:
            return [module]
    return []


IMPORTERS = {"import_module", "__import__"}


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def imports(module: str) -> set[str]:
    """The modules of ltq that a module imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(TREES[module]):
        for name in named_imports(node):
            known = name if name in FILES else name.rpartition(".")[0]
            if known in FILES:
                found.add(known)
    return found - {module}


def packages(module: str) -> set[str]:
    """The top-level packages that a module imports."""
    nodes = ast.walk(TREES[module])
    return {name.partition(".")[0] for node in nodes for name in named_imports(node)}


def parts_of_broker(module: str) -> set[str]:
    """The modules in `ltq.brokers` that a broker is made of."""
    parts, left = set(), {module}
    while left:
        part = left.pop()
        parts.add(part)
        left |= {name for name in imports(part) if name.startswith("ltq.brokers.")} - parts
    return parts


def where(module: str, node: ast.expr | ast.stmt) -> str:
    return f"{FILES[module].relative_to(ROOT)}:{node.lineno}"


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Everything in the code of ltq, and where it is."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            yield f"{module}:{getattr(node, 'lineno', 0)}", node


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
        assert [module for module in FILES if layer_of(module) is None] == [], "put it into LAYERS"

    def test_no_module_has_two_layers(self) -> None:
        assert sum(map(len, LAYERS)) == len(set[str]().union(*LAYERS))

    def test_every_name_in_the_table_is_a_module(self) -> None:
        named = {name.removesuffix(".*") for layer in LAYERS for name in layer}
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
        graph = {module: imports(module) for module in FILES}
        try:
            list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            pytest.fail(f"a cycle: {' <- '.join(error.args[1])}")

    @pytest.mark.parametrize("part", PARTS)
    def test_a_part_of_a_worker_knows_the_seam_and_what_it_must(self, part: str) -> None:
        known = {name.removeprefix("ltq.") for name in imports(f"ltq.{part}")}
        assert {name for name in known if not name.startswith(SEAM)} == PARTS[part]

    def test_background_work_is_started_by_services(self) -> None:
        starters = {
            module
            for module, tree in TREES.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and called(node) in ("create_task", "ensure_future")
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


class TestImports:
    def test_none_is_relative(self) -> None:
        assert [
            place for place, node in nodes() if isinstance(node, ast.ImportFrom) and node.level
        ] == []

    def test_those_of_ltq_stand_at_the_top_and_hold_at_run_time(self) -> None:
        # In a function or under TYPE_CHECKING they would only hide that a layer is wrong.
        top = {id(node) for tree in TREES.values() for node in tree.body}
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
        by_name = {
            module
            for module, tree in TREES.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and called(node) in IMPORTERS
        }
        assert by_name <= BY_NAME


class TestFiles:
    def test_none_is_long(self) -> None:
        lengths = {module: path.read_text("utf-8").count("\n") for module, path in FILES.items()}
        long = {module: lines for module, lines in lengths.items() if lines > LONGEST}
        assert long == {}, "is it two files?"

    def test_none_is_a_junk_drawer(self) -> None:
        names = {module: {part.strip("_") for part in module.split(".")} for module in FILES}
        assert [module for module, words in names.items() if words & JUNK] == []

    def test_each_says_what_it_is(self) -> None:
        assert [module for module, tree in TREES.items() if not ast.get_docstring(tree)] == []


class TestLogging:
    def test_arguments_are_not_formatted_beforehand(self) -> None:
        assert [
            place
            for place, node in nodes()
            if isinstance(node, ast.Call) and is_log_call(node)
            if any(is_formatted(argument) for argument in node.args)
        ] == []


class TestTests:
    def test_they_wait_for_events_and_do_not_sleep(self) -> None:
        sleeps = []
        for path in sorted(TESTS.rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if path == Path(__file__) or name == POLLER:
                continue
            for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
                if "sleep(" in line and OWN_TIME not in line:
                    sleeps.append(f"{name}:{number}: {line.strip()}")
        assert sleeps == [], f"wait for an event, or say {OWN_TIME!r} where a task takes time"
