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
    {"errors", "state", "options", "logger", "_names", "_clock", "_backoff", "_batcher", "_cron"},
    {"message", "codec", "_formats", "_feed"},
    {"broker"},
    {"brokers.*", "handle"},
    {"task"},
    {"context", "middleware.*"},
    {"_claimer", "_executor", "_leases", "_completer", "_slots"},
    {"_shift", "worker"},
    {"app", "scheduler", "testing", "cli.*", "__init__", "__main__"},
)
"""A module imports from its own layer and those before it. `x.*` is a package with all in it."""

PLANNED = {"_cron", "app", "scheduler", "testing"}
"""Modules of the design that may not be there yet."""

PARTS = {"_claimer", "_executor", "_leases", "_completer", "_slots"}
"""The parts of a worker: joined by their constructors' arguments, they know the seam only."""

OUTSIDE = {
    "redis": r"ltq\.brokers\.\w+",
    "click": r"ltq\.cli\.\w+",
    "rich": r"ltq\.cli\.\w+",
    "croniter": r"ltq\.(_cron|scheduler)",
    "fakeredis": r"ltq\.testing",
    "pydantic": "nowhere",
}
"""Packages that stay behind a seam, and the modules that may import them."""

BY_NAME = {"ltq.broker", "ltq.middleware.sentry", "ltq.cli._target"}
"""Where a module is imported by its name at run time: brokers by scheme, an extra, a user's."""

LONGEST = 400
JUNK = {"utils", "util", "helpers", "helper", "common", "misc"}
OWN_TIME = "# the task's own time"
POLLER = "tests/eventually.py"
TO_MARK = {("tests/conformance/test_send.py", "await asyncio.sleep(0.001 * (5 - value))")}
"""Lines that take a task's own time and do not say so yet."""

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in FILES.items()}


def layer_of(module: str) -> int | None:
    """The number of a module's layer."""
    own = module.removeprefix("ltq").removeprefix(".") or "__init__"
    names = {own, f"{own.partition('.')[0]}.*" if FILES[module].parent != PACKAGE else own}
    return next((number for number, layer in enumerate(LAYERS) if layer & names), None)


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


def conditional_imports(tree: ast.Module) -> Iterator[ast.stmt]:
    """Imports of ltq that do not stand at the top level of a module."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom) or node in tree.body:
            continue
        if any(name.partition(".")[0] == "ltq" for name in named_imports(node)):
            yield node


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


class TestLayers:
    @pytest.mark.parametrize("module", FILES)
    def test_every_module_has_a_layer(self, module: str) -> None:
        assert layer_of(module) is not None, f"put {module} into LAYERS"

    def test_no_module_has_two_layers(self) -> None:
        assert sum(map(len, LAYERS)) == len(set[str]().union(*LAYERS))

    def test_every_name_in_the_table_is_a_module(self) -> None:
        named = {name.removesuffix(".*") for layer in LAYERS for name in layer}
        known = {module.removeprefix("ltq.") for module in FILES} | {"__init__"}
        assert named - known <= PLANNED

    @pytest.mark.parametrize("module", FILES)
    def test_imports_go_down_or_stay_in_a_layer(self, module: str) -> None:
        own = layer_of(module) or 0
        upward = {name for name in imports(module) if (layer_of(name) or 0) > own}
        assert not upward, f"{module} is of layer {own}"

    def test_there_is_no_cycle(self) -> None:
        graph = {module: imports(module) for module in FILES}
        try:
            list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            pytest.fail(f"a cycle: {' <- '.join(error.args[1])}")

    @pytest.mark.parametrize("part", sorted(PARTS))
    def test_the_parts_of_a_worker_do_not_know_one_another(self, part: str) -> None:
        assert not imports(f"ltq.{part}") & {f"ltq.{other}" for other in PARTS}

    def test_only_the_top_layer_knows_the_brokers(self) -> None:
        assert [
            module
            for module in FILES
            if not module.startswith("ltq.brokers")
            and layer_of(module) != len(LAYERS) - 1
            and any(name.startswith("ltq.brokers") for name in imports(module))
        ] == []

    def test_brokers_do_not_know_one_another(self) -> None:
        shared = parts_of_broker("ltq.brokers.memory") & parts_of_broker("ltq.brokers.redis")
        assert not shared


class TestImports:
    @pytest.mark.parametrize("module", FILES)
    def test_none_is_relative(self, module: str) -> None:
        nodes = ast.walk(TREES[module])
        relative = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
        assert [where(module, node) for node in relative] == []

    @pytest.mark.parametrize("module", FILES)
    def test_those_of_ltq_stand_at_the_top_and_hold_at_run_time(self, module: str) -> None:
        # In a function or under TYPE_CHECKING they would only hide that a layer is wrong.
        conditional = conditional_imports(TREES[module])
        assert [where(module, node) for node in conditional] == []

    @pytest.mark.parametrize("module", FILES)
    def test_a_package_behind_a_seam_is_imported_only_there(self, module: str) -> None:
        for package in packages(module) & set(OUTSIDE):
            assert re.fullmatch(OUTSIDE[package], module), f"{module} imports {package}"

    def test_few_modules_import_by_name(self) -> None:
        by_name = {
            module
            for module, tree in TREES.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and called(node) in IMPORTERS
        }
        assert by_name <= BY_NAME


class TestFiles:
    @pytest.mark.parametrize("module", FILES)
    def test_none_is_long(self, module: str) -> None:
        lines = FILES[module].read_text("utf-8").count("\n")
        assert lines <= LONGEST, f"{module} has {lines} lines: is it two?"

    @pytest.mark.parametrize("module", FILES)
    def test_none_is_a_junk_drawer(self, module: str) -> None:
        words = {part.strip("_") for part in module.split(".")}
        assert not words & JUNK, "name it after what it does"

    @pytest.mark.parametrize("module", FILES)
    def test_each_says_what_it_is(self, module: str) -> None:
        assert ast.get_docstring(TREES[module])


class TestLogging:
    @pytest.mark.parametrize("module", FILES)
    def test_arguments_are_not_formatted_beforehand(self, module: str) -> None:
        eager = [
            where(module, node)
            for node in ast.walk(TREES[module])
            if isinstance(node, ast.Call) and is_log_call(node)
            if any(is_formatted(argument) for argument in node.args)
        ]
        assert eager == []


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


class TestTests:
    @pytest.mark.parametrize(
        "name", sorted(str(path.relative_to(ROOT)) for path in TESTS.rglob("*.py"))
    )
    def test_they_wait_for_events_and_do_not_sleep(self, name: str) -> None:
        if name in (POLLER, str(Path(__file__).relative_to(ROOT))):
            return
        sleeps = [
            f"{name}:{number}: {line.strip()}"
            for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1)
            if "sleep(" in line and OWN_TIME not in line and (name, line.strip()) not in TO_MARK
        ]
        assert sleeps == [], f"wait for an event, or say {OWN_TIME!r} where a task takes time"
