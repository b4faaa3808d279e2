"""What the pages promise is held by tests that exist; a section without any says why."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from docs import _promises
from tests.docs.pages import ROOT

pytestmark = pytest.mark.slow

MADE = {"cli.md", "promises.md", "typing.md"}
"""Pages that are made from the code, with tests of their own."""


@cache
def text_of(page: str) -> str:
    return _promises.plain((ROOT / page).read_text("utf-8"))


@cache
def names_in(file: str) -> frozenset[str]:
    """The tests of a file, as pytest names them after the file's name."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    body = ast.parse(path.read_text("utf-8")).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    scopes = [("", body), *((f"{scope.name}::", scope.body) for scope in classes)]
    return frozenset(
        f"{prefix}{node.name}"
        for prefix, nodes in scopes
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@cache
def sections_of(page: str) -> dict[str, str]:
    """The texts of a page by the headings above them."""
    heading, in_code = "", False
    lines: dict[str, list[str]] = {}
    for line in (ROOT / page).read_text("utf-8").splitlines():
        if line.startswith("```"):
            in_code = not in_code
        if not in_code and re.match(r"##? ", line):
            heading = line.partition(" ")[2]
        lines.setdefault(heading, []).append(line)
    return {heading: _promises.plain(" ".join(text)) for heading, text in lines.items()}


def sections() -> set[str]:
    """The sections of the pages that people write, as `page: heading`."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages = [path.relative_to(ROOT).as_posix() for path in paths if path.name not in MADE]
    written = [page for page in pages if page not in _promises.elsewhere()]
    return {f"{page}: {heading}" for page in written for heading in sections_of(page)}


def section_of(promise: _promises.Promise) -> str:
    """The heading above a promise."""
    found = sections_of(promise.page)
    heading = next((one for one in found if promise.says in found[one]), "")
    return f"{promise.page}: {heading}"


def test_each_promise_stands_on_its_page() -> None:
    missing = [
        f"{promise.page}: {promise.says}"
        for promise in _promises.promises()
        if promise.says not in text_of(promise.page)
    ]
    assert missing == [], "the page says it otherwise: change docs/promises.toml, and its tests"


def test_each_promise_has_tests_that_exist() -> None:
    missing = []
    for promise in _promises.promises():
        assert promise.tests, promise.says
        for name in promise.tests:
            file, _, test = name.partition("::")
            if test not in names_in(file):
                missing.append(name)
    assert missing == []


def test_no_promise_stands_there_twice() -> None:
    told = [(promise.page, promise.says) for promise in _promises.promises()]
    assert len(told) == len(set(told))


def test_each_section_promises_something_or_says_why_not() -> None:
    promised = {section_of(promise) for promise in _promises.promises()}
    unclaimed = _promises.unclaimed()
    assert all(len(reason) > 10 for reason in unclaimed.values())
    assert promised & set(unclaimed) == set(), "these do promise something"
    assert set(unclaimed) - sections() == set(), "there are no such sections"
    assert sections() - promised - set(unclaimed) == set(), "add them to docs/promises.toml"


def test_pages_with_tests_of_their_own_say_where() -> None:
    for page, reason in _promises.elsewhere().items():
        assert (ROOT / page).is_file()
        named = re.findall(r"`(tests/[^`]+)`", reason)
        assert named, page
        assert [name for name in named if not (ROOT / name).exists()] == []
        assert page not in {promise.page for promise in _promises.promises()}


def test_the_page_is_current() -> None:
    stale = "stale: run `python -m docs._promises`"
    assert _promises.PAGE.read_text("utf-8") == _promises.page(), stale


def test_a_test_is_found_by_its_name() -> None:
    here = Path(__file__).relative_to(ROOT).as_posix()
    assert "test_a_test_is_found_by_its_name" in names_in(here)
    assert "test_that_is_not_there" not in names_in(here)
    run = "ltq/testing/conformance/_worker/run.py"
    assert any("::test_" in name for name in names_in(run))
