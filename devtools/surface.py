"""The public surface of `ltq`: what its signatures say, read from the code."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from devtools.source import is_public, trees


def exported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a module takes from others, and gives away by its `__all__`: module and name."""
    named: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            named = _strings(node.value)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.module, alias.name) for alias in node.names if alias.name in named)


def _strings(value: ast.expr) -> set[str]:
    """The texts in a list of names, also in one that is joined of others."""
    nodes = (node for node in ast.walk(value) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


@cache
def public_places() -> Mapping[tuple[str, str], str]:
    """Where a name from a private module may be had: the last of several public places."""
    return {
        origin: f"{module}.{origin[1]}"
        for module, tree in trees().items()
        if is_public(module)
        for origin in exported(tree)
    }


class Shown(NamedTuple):
    """An annotation of the public surface."""

    owner: str
    """What it belongs to, by its public name."""
    annotation: ast.expr
    module: str
    """Where it is written."""


SUITE = "ltq.testing.conformance"
"""Tests: nobody calls what is in there."""


def surface() -> Iterator[Shown]:
    """Every annotation of the public surface."""
    places = public_places()
    for module, tree in trees().items():
        if module.startswith(SUITE):
            continue
        for node in tree.body:
            name = name_of(node)
            public = f"{module}.{name}" if is_public(module) else places.get((module, name))
            if is_public(name) and public is not None:
                for owner, annotation in annotations(public, node, tree.body):
                    yield Shown(owner, annotation, module)


def shown_types() -> Iterator[tuple[str, str, str]]:
    """The classes of ltq in public signatures: who shows it, the module it lives in, its name."""
    for owner, annotation, module in surface():
        for name, _ in names_in(annotation):
            home = home_of(module, name)
            if home is not None:
                yield owner, *home


def home_of(module: str, name: str) -> tuple[str, str] | None:
    """The module that defines a class, and its name there; None for what is no class of ltq."""
    if module not in trees():
        return None
    for node in trees()[module].body:
        match node:
            case ast.ClassDef(name=own) if own == name:
                return module, name
            case ast.ImportFrom(module=str(origin)):
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return home_of(origin, alias.name)
    return None


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
