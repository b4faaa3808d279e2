"""What the pages for contributors say of the house is so."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from docs._wrap import WIDTH, wrapped
from tests.docs.pages import DOCS, PAGES, README, ROOT, name_of, prose_of

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
GENERATED = re.compile(r"<!-- (\w+) -->\n.*<!-- end of \1 -->", re.DOTALL)
AS_IT_IS = re.compile(r"\s*(\||<|\[\w+\]: |#)")
"""Lines that may be longer: tables, HTML, addresses, headings."""

EXPLAINED = re.findall(
    r"^\| `([^`]+)` \| a ", (DOCS / "errors.md").read_text("utf-8"), re.MULTILINE
)
"""Lines of the log."""

RECORDS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "index.md")


@pytest.mark.parametrize(
    "page",
    [README, CONTRIBUTING, *(page for page in PAGES if page.name != "broker.md")],
    ids=name_of,
)
def test_prose_has_a_readable_width(page: Path) -> None:
    lines = GENERATED.sub("", prose_of(page)).splitlines()
    long = [line for line in lines if len(line) > WIDTH and not AS_IT_IS.match(line)]
    breakable = [line for line in long if "\n" in wrapped(line.strip())]
    assert [line for line in breakable if not line.startswith("    ")] == [], "see docs/_wrap.py"


def test_every_session_of_the_task_runner_is_explained() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    sessions = {node.name for node in functions if node.decorator_list}
    rows = re.findall(r"^\| `(\w+)` \|", CONTRIBUTING.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(sessions)


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_a_decision_has_its_parts_and_is_listed(record: Path) -> None:
    headings = re.findall(r"^## (.+)$", record.read_text("utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences"]
    assert f"({record.name})" in (DOCS / "decisions" / "index.md").read_text("utf-8")
    assert f"decisions/{record.name}" in (ROOT / "mkdocs.yml").read_text("utf-8")


def test_decisions_are_numbered_in_order() -> None:
    numbers = [int(record.name.partition("-")[0]) for record in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize(
    "line", re.findall(r"^\| `([^`]+)` \| a ", (DOCS / "errors.md").read_text(), re.MULTILINE)
)
def test_a_line_of_the_log_that_is_explained_is_logged(line: str) -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "ltq").rglob("*.py"))
    assert line.removesuffix(" ...") in sources


@pytest.mark.parametrize("file", sorted((ROOT / ".github").rglob("*.yml")), ids=name_of)
def test_what_github_reads_is_yaml(file: Path) -> None:
    assert isinstance(yaml.safe_load(file.read_text("utf-8")), dict)
