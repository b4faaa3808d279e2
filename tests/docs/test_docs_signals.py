"""Each line of the page about signals names a test that is there."""

import ast
import re

import pytest

from tests.docs.pages import DOCS, ROOT

ROW = re.compile(r"^\| (?!---)(.+) \|$", re.MULTILINE)
NAMED = re.compile(r"<!-- (\S+) (\S+) -->")


def rows() -> list[str]:
    """The rows of all tables, without their heads."""
    tables = re.findall(r"(?:^\|.+\n)+", (DOCS / "signals.md").read_text("utf-8"), re.MULTILINE)
    return [row for table in tables for row in ROW.findall(table)[1:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split(" | ")[0])
def test_a_line_names_its_test(row: str) -> None:
    named = NAMED.findall(row)
    assert named, "it has no <!-- file test --> at its end"
    for file, name in named:
        body = ast.parse((ROOT / file).read_text("utf-8")).body
        for part in name.split("."):
            found = [one for one in body if getattr(one, "name", "") == part]
            assert found, f"there is no {name} in {file}"
            body = getattr(found[0], "body", [])


def test_there_are_lines() -> None:
    assert len(rows()) > 20
