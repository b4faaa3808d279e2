"""The layers of `ltq`: a module imports from its own layer and those above it in this table.

`tests/test_architecture.py` holds the code to it. The table of docs/architecture.md is made from
it; after a change here: `python -m devtools.layers`.
"""

import re
from dataclasses import dataclass

from devtools.source import FILES, PACKAGE, ROOT

PAGE = ROOT / "docs" / "architecture.md"
TABLE = re.compile(r"(?<=<!-- layers -->\n).*(?=<!-- end of layers -->)", re.DOTALL)
COMMAND = "python -m devtools.layers"


@dataclass(frozen=True)
class Layer:
    """Modules that may import one another, in no circle.

    `x.*` is a folder with all in it, except what another name means more exactly.
    """

    role: str
    modules: frozenset[str]


def _layer(role: str, *modules: str) -> Layer:
    return Layer(role, frozenset(modules))


LAYERS = (
    _layer(
        "words of their own: they know nothing of the rest", "errors", "state", "codec", "_text"
    ),
    _layer("event loops, threads, time: nothing of tasks", "_aio.*"),
    _layer(
        "what is declared, logged, named, shown",
        "options",
        "logger",
        "names",
        "_cron.*",
        "_display.*",
    ),
    _layer("what travels, and how values become bytes", "message", "events", "_codec.*"),
    _layer("the seam: what every broker can do, by role", "broker.*"),
    _layer(
        "what stores have in common",
        "brokers._rules.*",
        "brokers._follow",
        "brokers._calls",
        "brokers._sessions",
    ),
    _layer(
        "a store each; what a caller holds; how messages are sent",
        "brokers.*",
        "handle",
        "handles",
        "notebook",
        "sync",
        "_sender.*",
        "_flow.*",
        "workflow.*",
    ),
    _layer("what is sent", "task", "streams.*"),
    _layer(
        "what a running task, and what surrounds it, may know",
        "_declared",
        "context",
        "middleware.*",
    ),
    _layer("what is sent when", "schedule"),
    _layer("one run, of a worker or a scheduler, and its parts", "_worker.*", "_scheduler.*"),
    _layer("the registry of tasks", "worker"),
    _layer("several workers together", "app", "scheduler"),
    _layer("what looks at brokers in a browser", "web.*"),
    _layer(
        "tests, the command line, frameworks, the names of the package",
        "testing.*",
        "cli.*",
        "contrib.*",
        "__init__",
        "__main__",
    ),
)


def layer_of(module: str) -> int | None:
    """The number of a module's layer; None where it has none."""
    own = module.removeprefix("ltq").removeprefix(".") or "__init__"
    is_in_folder = module != "ltq" and FILES[module].parent != PACKAGE
    parts = own.split(".") if is_in_folder else []
    folders = [f"{'.'.join(parts[:count])}.*" for count in range(len(parts), 0, -1)]
    numbers = {name: number for number, one in enumerate(LAYERS) for name in one.modules}
    return next((numbers[name] for name in (own, *folders) if name in numbers), None)


def table() -> str:
    """The layers as a table in Markdown."""
    lines = ["| layer | folders and modules | role |", "| --- | --- | --- |"]
    for number, layer in enumerate(LAYERS):
        names = " ".join(f"`{_shown(name)}`" for name in sorted(layer.modules, key=_in_order))
        lines.append(f"| {number} | {names} | {layer.role} |")
    return "\n".join(["", *lines, "", ""])


def written() -> str:
    """The table as it stands in the page."""
    found = TABLE.search(PAGE.read_text("utf-8"))
    return found.group() if found else ""


def _shown(name: str) -> str:
    return name.replace(".*", "/")


def _in_order(name: str) -> tuple[bool, str]:
    """Public names first."""
    return name.startswith("_"), name


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text("utf-8")), "utf-8")
