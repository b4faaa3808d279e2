"""`Any` stands in a public signature only where types are forgotten for a reason, written here."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORGETFUL = {"Handle", "Message", "SyncHandle", "Task", "TaskState"}
"""Generics whose parameters are `Any` where none are given."""

ALLOWED = {
    "Tasks of all types stand together: in a worker, before its middleware, on a schedule.": {
        "ltq.worker.Worker.tasks",
        "ltq.task.SendHook.on_send",
        "ltq.scheduler.Scheduler.cron",
        "ltq.schedule.NeedsNoArguments.message",
        "ltq.schedule.Schedule.task",
        "ltq.schedule.Schedule.message",
        "ltq.context.Context.__init__",
        "ltq.middleware.base.Middleware.__call__",
        "ltq.middleware.max_age.MaxAge.__call__",
        "ltq.middleware.max_rate.MaxRate.__call__",
        "ltq.middleware.max_tries.MaxTries.__call__",
        "ltq.middleware.otel.OpenTelemetry.__call__",
        "ltq.middleware.otel.OpenTelemetry.on_send",
        "ltq.middleware.prometheus.HasQueues.tasks",
        "ltq.middleware.prometheus.Prometheus.__call__",
        "ltq.middleware.prometheus.Prometheus.on_send",
        "ltq.middleware.sentry.Sentry.__call__",
        "ltq.testing.Box.task",
    },
    "States of all types stand together: of whatever task failed, or of a worker's tasks.": {
        "ltq.errors.TaskError.__init__",
        "ltq.errors.TaskError.__reduce__",
        "ltq.testing.Box.drain",
        "ltq.testing.drain",
    },
    "Workers stand together, whatever their lifespans give; a lifespan may name its own.": {
        "ltq.worker.Worker.__init__",
        "ltq.app.App.register_worker",
        "ltq.app.App.workers",
        "ltq.scheduler.Scheduler.register_worker",
        "ltq.cli.schedule.schedulers_of",
        "ltq.testing.Box.__init__",
        "ltq.testing.Box.workers",
        "ltq.testing.use",
        "ltq.testing.plugin.ltq_box",
        "ltq.testing.plugin.ltq_targets",
        "ltq.testing.drain",
    },
    "Arguments as they came, and what middleware keeps beside them: the decorator knows more.": {
        "ltq.message.Message.args",
        "ltq.message.Message.kwargs",
        "ltq.message.Message.ctx",
    },
    "Options as they were declared: they were checked by their TypedDict.": {
        "ltq.task.Task.options",
        "ltq.middleware.sentry.Sentry.__init__",  # sentry_sdk.init's
        "ltq.cli.send.send",  # click's
    },
    "Values between bytes and types: annotations are read when the program runs.": {
        "ltq.codec.Serializer.dumps",
        "ltq.codec.Serializer.loads",
        "ltq.handle.Handle.__init__",
    },
    "Coroutines and asyncio's tasks: what is sent into them, or what somebody else's return.": {
        "ltq.worker.TaskDecorator.__call__",
        "ltq.worker.Worker.task",
        "ltq.testing.Box.running",
    },
}
"""Who may say `Any`, by the reason."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {module_of(path): ast.parse(path.read_text("utf-8")) for path in ROOT.glob("ltq/**/*.py")}


def is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def exported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a module takes from others, and gives away by its `__all__`: module and name."""
    named: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            named = set(ast.literal_eval(node.value))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.module, alias.name) for alias in node.names if alias.name in named)


EXPORTED = {
    origin: f"{module}.{origin[1]}" for module, tree in TREES.items() for origin in exported(tree)
}
"""Where a name from a private module may be had: the last of several places."""


def surface() -> Iterator[tuple[str, ast.expr]]:
    """Every annotation of the public surface, and the name of what it belongs to."""
    for module, tree in TREES.items():
        is_private = any(part.startswith("_") for part in module.split("."))
        for node in tree.body:
            name = name_of(node)
            public = EXPORTED.get((module, name)) if is_private else f"{module}.{name}"
            if is_public(name) and public is not None:
                yield from annotations(public, node, tree.body)


def name_of(node: ast.stmt) -> str:
    """What a statement defines; `_` for nothing that has a type of its own."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name)):
            return name
    return "_"


def annotations(
    name: str, node: ast.stmt, around: Iterable[ast.stmt]
) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.AnnAssign(annotation=annotation):
            yield name, annotation
        case ast.ClassDef(body=body):
            for member in [*body, *assigned(body)]:
                if is_public(name_of(member)):
                    yield from annotations(f"{name}.{name_of(member)}", member, body)
        case ast.FunctionDef() | ast.AsyncFunctionDef() if not is_implementation(node, around):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            every += filter(None, [arguments.vararg, arguments.kwarg])
            yield from ((name, one.annotation) for one in every if one.annotation is not None)
            if node.returns is not None:
                yield name, node.returns


def assigned(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The attributes that `__init__` declares."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield from (one for one in ast.walk(node) if isinstance(one, ast.AnnAssign))


def is_overload(node: ast.stmt) -> bool:
    match node:
        case ast.FunctionDef(decorator_list=decorators):
            return "overload" in map(ast.unparse, decorators)
        case ast.AsyncFunctionDef(decorator_list=decorators):
            return "overload" in map(ast.unparse, decorators)
    return False


def is_implementation(node: ast.stmt, around: Iterable[ast.stmt]) -> bool:
    """Whether there are overloads in its place."""
    others = (one for one in around if is_overload(one) and name_of(one) == name_of(node))
    return not is_overload(node) and any(others)


def names_in(annotation: ast.expr) -> Iterator[tuple[str, bool]]:
    """The names in an annotation, also in quoted ones, and whether parameters are given."""
    match annotation:
        case ast.Subscript(value=ast.Name(id="Literal")):
            return
        case ast.Subscript(value=ast.Name(id=name), slice=parameters):
            yield name, True
            yield from names_in(parameters)
        case ast.Name(id=name):
            yield name, False
        case ast.Constant(value=str(text)):
            yield from names_in(ast.parse(text, mode="eval").body)
        case _:
            for part in ast.iter_child_nodes(annotation):
                if isinstance(part, ast.expr):
                    yield from names_in(part)


def forgets(annotation: ast.expr, aliases: Iterable[str] = ()) -> bool:
    """Whether it says `Any`, or a generic of ours without saying of what."""
    return any(
        name == "Any" or name in aliases or (name in FORGETFUL and not has_parameters)
        for name, has_parameters in names_in(annotation)
    )


def forgetful_aliases() -> set[str]:
    """Names for types that say `Any`."""
    aliases = {
        ast.unparse(node.targets[0]): node.value
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp)
    }
    return {name for name, value in aliases.items() if forgets(value)}


class TestSurface:
    def test_any_stands_where_there_is_a_reason_and_nowhere_else(self) -> None:
        aliases = forgetful_aliases()
        found = {name for name, annotation in surface() if forgets(annotation, aliases)}
        assert found == {name for names in ALLOWED.values() for name in names}

    def test_every_parameter_and_result_has_a_type(self) -> None:
        bare = [
            f"{module}: {node.name}"
            for module, tree in TREES.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is None
        ]
        assert bare == []

    def test_the_walk_sees_what_it_must(self) -> None:
        seen = {name for name, _ in surface()}
        assert seen >= {
            "ltq.handles.gather",
            "ltq.task.Task.send",
            "ltq.worker.Worker.middlewares",
            "ltq.broker.roles.Settler.finish",
            "ltq.testing.assert_sent",
            "ltq.state.TaskState.result",
        }

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Any", True),
            ("list[dict[str, Any]] | None", True),
            ("'Task[..., Any]'", True),
            ("Message", True),
            ("Callable[['Task'], None]", True),
            ("Message[R]", False),
            ("Literal['json', 'msgpack']", False),
            ("list[Handle[R]]", False),
            ("None", False),
        ],
    )
    def test_it_knows_what_forgets(self, text: str, expected: bool) -> None:
        assert forgets(ast.parse(text, mode="eval").body) is expected
