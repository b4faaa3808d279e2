"""The page about brokers names every answer there is, and no other."""

import re

import pytest

from ltq.broker import Severity
from ltq.message import Published, Receipt
from tests.docs.pages import DOCS

REPLAY_ONLY = {Published.GONE, Published.EMPTY}

PUBLISH = {*Published} - REPLAY_ONLY
REPLAY = {Published.CREATED, Published.EXISTS, *REPLAY_ONLY}

PAGE = (DOCS / "broker.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("title", "answers"),
    [
        ("`publish` answers (`Published`)", PUBLISH),
        ("`finish`, `requeue`, `release` answer (`Receipt`)", {*Receipt}),
        ("`replay` answers (`Published`)", REPLAY),
    ],
)
def test_a_table_has_a_row_for_each_answer(title: str, answers: set[str]) -> None:
    _, _, after = PAGE.partition(f"| {title} |")
    table, _, _ = after.partition("\n\n")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {str(one) for one in answers}


def test_findings_have_each_severity() -> None:
    (row,) = [line for line in PAGE.splitlines() if "`examine()`" in line]
    assert {f"`{severity}`" for severity in Severity} <= set(re.findall(r"`\w+`", row))
