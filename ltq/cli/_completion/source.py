"""What a Python file declares for LTQ, read from its text: user code is never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

KINDS = frozenset({"Worker", "App", "Scheduler"})
"""What can be a target."""


@dataclass(slots=True)
class Source:
    """The declarations at the top level of one module."""

    declared: dict[str, str] = field(default_factory=dict)
    """Names of workers and others, with their kind."""
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Names that other modules gave, with the module and the name there."""
    modules: dict[str, str] = field(default_factory=dict)
    """Names of imported modules, with what they are."""
    tasks: list[tuple[str, str]] = field(default_factory=list)
    """The name of a worker in this module, and that of a task."""


def read_source(text: bytes, module: str, *, is_package: bool) -> Source:
    """Read a module. Raises `SyntaxError` or `ValueError` if it is no Python."""
    source = Source()
    for node in _statements(ast.parse(text).body):
        if isinstance(node, ast.Import):
            for name in node.names:
                source.modules[name.asname or name.name] = name.name
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, is_package=is_package)
            for name in node.names:
                source.imported[name.asname or name.name] = origin, name.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            _read_assignment(source, node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _read_function(source, node)
    return source


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that are run when a module is imported, except in classes and loops."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])
        elif isinstance(node, ast.With):
            yield from _statements(node.body)


def _origin(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """The module that names are imported from."""
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    parents = parts[: len(parts) - node.level + is_package]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _read_assignment(source: Source, node: ast.Assign | ast.AnnAssign) -> None:
    called = node.value.func if isinstance(node.value, ast.Call) else None
    if isinstance(called, ast.Subscript):  # Worker[Database](...)
        called = called.value
    kind = None if called is None else _kind(source, called)
    if kind is None:
        return
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        if isinstance(target, ast.Name):
            source.declared[target.id] = kind


def _kind(source: Source, called: ast.expr) -> str | None:
    """Which kind of target a call makes; None for any other call."""
    match called:
        case ast.Name(id=name):
            module, kind = source.imported.get(name, ("", ""))
        case ast.Attribute(value=ast.Name(id=name), attr=kind):
            module = source.modules.get(name, "")
        case _:
            return None
    return kind if kind in KINDS and module.partition(".")[0] == "ltq" else None


def _read_function(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Attribute(value=ast.Name(id=worker), attr="task"):
                source.tasks.append((worker, node.name))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=worker), attr="task")):
                source.tasks.append((worker, _task_name(decorator) or node.name))


def _task_name(call: ast.Call) -> str | None:
    """The name that a decorator gives a task."""
    for keyword in call.keywords:
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None
