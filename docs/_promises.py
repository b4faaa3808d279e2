"""Writes `docs/promises.md` from `docs/promises.toml`: `python -m docs._promises`.

A promise is a text of a page, word for word, and the tests that fail if it is not so. A text that
is changed therefore asks for its tests, and a test that is removed asks for its text
(`tests/docs/test_docs_promises.py`).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "docs" / "promises.toml"
PAGE = ROOT / "docs" / "promises.md"

_HEAD = """\
# Promises

What the pages promise, word for word, and the tests that fail if it is not so. Those in
`ltq/testing/conformance/` hold it for every broker. Other sentences explain, and promise nothing.
Of [Reliability](reliability.md) the first table is left out: it names its tests itself.

`python -m docs._promises` makes this page from `docs/promises.toml`, where the tests have their
full names.
"""
_TABLE = "| promise | held by |\n| --- | --- |"
_OTHERS = "| page | held by |\n| --- | --- |"
_CAPITAL = re.compile(r"([A-Z])")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Promise:
    """A text of a page, and the tests that hold it."""

    page: str
    """The page's path from the root of the repository."""
    says: str
    """The text, with single spaces."""
    tests: tuple[str, ...]
    """As pytest names them: `tests/test_names.py::test_that_a_name_is_short`."""


def promises() -> Iterator[Promise]:
    """All promises, in the order of the file."""
    for page, rows in _source()["promises"].items():
        for row in rows:
            tests = row["test"]
            names = (tests,) if isinstance(tests, str) else tuple(tests)
            yield Promise(page, plain(row["says"]), names)


def unclaimed() -> Mapping[str, str]:
    """The sections that promise nothing, as `page: heading`, and why."""
    found: Mapping[str, str] = _source()["unclaimed"]
    return found


def elsewhere() -> Mapping[str, str]:
    """The pages whose promises stand beside their tests elsewhere, and where."""
    found: Mapping[str, str] = _source()["elsewhere"]
    return found


def plain(text: str) -> str:
    """A text with single spaces, whatever its lines."""
    return " ".join(text.split())


def page() -> str:
    """The page."""
    parts = [_HEAD]
    for name in dict.fromkeys(promise.page for promise in promises()):
        rows = [_row(promise) for promise in promises() if promise.page == name]
        parts.append("\n".join([f"## {_title(name)}\n", _TABLE, *rows]) + "\n")
    rows = [f"| {_title(name)} | {reason} |" for name, reason in elsewhere().items()]
    parts.append("\n".join(["## Pages with tests of their own\n", _OTHERS, *rows]) + "\n")
    return "\n".join(parts)


def _source() -> dict[str, Any]:
    return tomllib.loads(SOURCE.read_text("utf-8"))


def _title(name: str) -> str:
    """The heading of a page, as a link to it."""
    if not name.startswith("docs/"):
        return f"[{name.removesuffix('.md')}](../{name})"
    heading = re.search(r"^# (.+)$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    return f"[{heading[1] if heading else name}]({name.removeprefix('docs/')})"


def _row(promise: Promise) -> str:
    says = _LINK.sub(r"\1", promise.says).replace(" | ", ": ").removeprefix("# ")
    scopes: dict[tuple[str, str], list[str]] = {}
    for test in promise.tests:
        file, _, name = test.partition("::")
        scope, _, function = name.rpartition("::")
        scopes.setdefault((file, scope), []).append(_in_words(function))
    tests = [
        f"{_about(scope)}{'; '.join(names)} `{file}`" for (file, scope), names in scopes.items()
    ]
    return f"| {says} | {'<br>'.join(tests)} |"


def _about(scope: str) -> str:
    """A class of tests to be read: "bare task: " of `TestBareTask`."""
    words = _CAPITAL.sub(r" \1", scope.removeprefix("Test")).strip().lower()
    return f"{words}: " if words else ""


def _in_words(function: str) -> str:
    return function.removeprefix("test_").replace("_", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
