"""Completing `MODULE:WORKER` and `MODULE:WORKER.TASK` from files below the current directory."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ltq.cli._completion.source import Source, read_source

_READ_PATIENCE = 1.0
"""Seconds for reading files. What is found until then is offered."""

_MAX_BYTES = 500_000
"""Larger files are not read: people do not write such."""

_MAX_DEPTH = 6

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_target(*kinds: str) -> Completer:
    """Make the `shell_complete` of `MODULE:NAME`, for names of these kinds."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = {
            f"{module}:{name}"
            for module, source in _sources(incomplete)
            for name, kind in source.declared.items()
            if kind in kinds
        }
        return _offer(found, incomplete)

    return complete


def complete_task(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The `shell_complete` of `MODULE:WORKER.TASK`."""
    sources = dict(_sources(""))
    found = set[str]()
    for module, source in sources.items():
        for worker, task in source.tasks:
            owner, name = source.imported.get(worker, (module, worker))
            if owner == module or name in getattr(sources.get(owner), "declared", {}):
                found.add(f"{owner}:{name}.{task}")
    return _offer(found, incomplete)


def _offer(found: set[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(one) for one in sorted(found) if one.startswith(incomplete)]


def _sources(incomplete: str) -> Iterator[tuple[str, Source]]:
    """The modules that may be meant, with what they declare."""
    wanted, colon, _ = incomplete.partition(":")
    end = time.monotonic() + _READ_PATIENCE
    for path, module in _files(Path.cwd()):
        if time.monotonic() > end:
            return
        if module == wanted if colon else module.startswith(wanted):
            source = _read(path, module)
            if source is not None:
                yield module, source


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """The Python files that can be imported from a directory, with their modules."""
    for folder, folders, files in os.walk(root):
        parts = Path(folder).relative_to(root).parts
        folders[:] = sorted(one for one in folders if _is_package(Path(folder, one)))
        if len(parts) >= _MAX_DEPTH:
            folders.clear()
        for file in sorted(files):
            name, dot, ending = file.rpartition(".")
            if dot and ending == "py" and name.isidentifier():
                names = parts if name == "__init__" else (*parts, name)
                if names:
                    yield Path(folder, file), ".".join(names)


def _is_package(folder: Path) -> bool:
    """Whether a directory may hold modules of the user."""
    if not folder.name.isidentifier() or folder.name in ("__pycache__", "node_modules"):
        return False
    return not (folder / "pyvenv.cfg").exists()


def _read(path: Path, module: str) -> Source | None:
    """What a file declares; None if it cannot be read, or has nothing to do with LTQ."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        text = path.read_bytes()
        if b"ltq" not in text and b".task" not in text:
            return None
        return read_source(text, module, is_package=path.name == "__init__.py")
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
