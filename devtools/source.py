"""The code of `ltq` as syntax trees: its modules, what each imports, and its rooms.

A room is what stands directly in `ltq`: a folder with all in it, or a module of its own.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ltq"

IMPORTERS = {"import_module", "__import__"}
"""Functions that import the module whose name they are given."""


def name_of(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> Mapping[str, ast.Module]:
    """The syntax tree of each module."""
    return {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in FILES.items()}


def is_public(name: str) -> bool:
    """Whether a name, or each part of a module's path, is meant for users."""
    parts = name.split(".")
    return not any(
        part.startswith("_") and not (part.startswith("__") and part.endswith("__"))
        for part in parts
    )


def room_of(module: str) -> str:
    """The folder or module directly in `ltq` that a module belongs to; `__init__` for the root."""
    return module.removeprefix("ltq").removeprefix(".").partition(".")[0] or "__init__"


def folder_of(module: str) -> str:
    """The innermost folder of a module; a module directly in `ltq` stands for itself."""
    folder = FILES[module].parent
    return module if folder == PACKAGE else str(folder.relative_to(PACKAGE))


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


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


@cache
def names_imported(module: str) -> frozenset[str]:
    """The modules, and the names in modules, that a module imports, wherever it does so."""
    return frozenset(name for node in nodes_of()[module] for name in named_imports(node))


def imports(module: str) -> set[str]:
    """The modules of ltq that a module imports."""
    names = names_imported(module)
    found = {name if name in FILES else name.rpartition(".")[0] for name in names}
    return {name for name in found if name in FILES and name != module}


def packages(module: str) -> set[str]:
    """The top-level packages that a module imports."""
    return {name.partition(".")[0] for name in names_imported(module)}


def place_imports(place_of: Callable[[str], str]) -> dict[str, set[str]]:
    """The places that the modules of each place import from: of `room_of` or `folder_of`."""
    graph: dict[str, set[str]] = {}
    for module in FILES:
        place = place_of(module)
        graph.setdefault(place, set()).update(place_of(name) for name in imports(module))
    return {place: others - {place} for place, others in graph.items()}


def folder_sizes() -> dict[str, int]:
    """How many modules each folder of ltq holds, `__init__` and `__main__` apart."""
    sizes: dict[str, int] = {}
    for path in FILES.values():
        folder = str(path.parent.relative_to(ROOT))
        sizes[folder] = sizes.get(folder, 0) + (path.stem not in ("__init__", "__main__"))
    return sizes


@cache
def nodes_of() -> Mapping[str, Sequence[ast.AST]]:
    """Everything in the code of each module."""
    return {module: [*ast.walk(tree)] for module, tree in trees().items()}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Everything in the code of ltq, and where it is."""
    for module, found in nodes_of().items():
        for node in found:
            yield f"{module}:{getattr(node, 'lineno', 0)}", node


def calls() -> Iterator[tuple[str, str]]:
    """Each call in the code of ltq: the module, and the last name of what is called."""
    for module, found in nodes_of().items():
        for node in found:
            if isinstance(node, ast.Call):
                yield module, called(node)
