"""Links and paths in the documents lead somewhere; links of the site are checked there."""

import re
import tomllib
from functools import cache
from pathlib import Path

from docs._diagrams import boxes_of
from tests.docs.pages import DOCS, DOCUMENTS, README, ROOT, prose_of
from tests.for_each import for_each

REPOSITORY: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Repository"
]
ABSOLUTE = re.compile(r"https://(?:raw\.githubusercontent|github)\.com/[^\s)>\"]+")
FILES = (f"{REPOSITORY}/blob/main/", "https://raw.githubusercontent.com/ltq-queue/ltq/main/")
"""How the addresses of files begin."""

OTHERS = {"astral-sh", "facebook"}
"""Whose repositories the documents name as well."""

PATH = re.compile(
    r"`((?:ltq|tests|devtools|docs|examples|benchmarks|deploy|stubs|\.\w+)/[\w./-]*)`"
)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
GENERATED = "ltq."
"""How anchors begin that the site makes of docstrings."""


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    plain = (re.sub(r"[`*]|\]\(.*?\)", "", title) for title in HEADING.findall(prose_of(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def is_there(path: str, anchor: str) -> bool:
    """Whether a file of the repository is there, and an anchor in it."""
    target = ROOT / path
    return target.exists() and (not anchor or anchor in anchors(target))


@for_each("document", DOCUMENTS)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(prose_of(document)):
        target = document if not path else (document.parent / path).resolve()
        is_there = target.exists() and target.is_relative_to(ROOT)
        if is_there and anchor and target.suffix == ".md" and not anchor.startswith(GENERATED):
            is_there = anchor in anchors(target)
        if not is_there:
            broken.append(f"{path}#{anchor}")
    assert broken == []


@for_each("document", [*DOCUMENTS, *sorted((ROOT / ".github").rglob("*.yml"))])
def test_addresses_in_the_repository_are_right(document: Path) -> None:
    wrong = []
    for url in ABSOLUTE.findall(document.read_text("utf-8")):
        if url.split("/")[3] in OTHERS:
            continue
        begin = next((begin for begin in FILES if url.startswith(begin)), None)
        path, _, anchor = url.removeprefix(begin or "").partition("#")
        if not (is_there(path, anchor) if begin else url.startswith(REPOSITORY)):
            wrong.append(url)
    assert wrong == []


def test_the_readme_has_no_relative_link() -> None:
    # A package index shows the README, too, and has none of the other files.
    text = prose_of(README)
    assert [link for link, _ in LINK.findall(text)] == []
    assert set(re.findall(r"\]\[(\w+)\]", text)) == set(
        re.findall(r"^\[(\w+)\]: ", text, re.MULTILINE)
    )


@for_each("document", DOCUMENTS)
def test_files_that_are_named_are_there(document: Path) -> None:
    named = [] if document.name == "CHANGELOG.md" else PATH.findall(prose_of(document))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_files_of_the_drawn_walks_are_there() -> None:
    boxes = boxes_of((DOCS / "architecture.md").read_text("utf-8"))
    assert len(boxes) > 10
    assert [path for path, _ in boxes if not (ROOT / path).is_file()] == []
