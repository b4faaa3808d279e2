"""Links of the documents lead somewhere in the repository; those of the site are checked there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import DOCUMENTS, ROOT, name_of, prose_of

LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
GENERATED = "ltq."
"""How anchors begin that the site makes of docstrings."""


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    plain = (re.sub(r"[`*]|\]\(.*?\)", "", title) for title in HEADING.findall(prose_of(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
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
