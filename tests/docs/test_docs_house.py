"""What the pages for contributors say about the repository is true."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from docs._wrap import WIDTH, wrapped
from ltq.brokers.redis._scripts.calls import SCRIPTS
from tests.docs.pages import DOCS, PAGES, README, ROOT, prose_of
from tests.for_each import for_each

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
GENERATED = re.compile(r"<!-- (\w+) -->\n.*<!-- end of \1 -->", re.DOTALL)
AS_IT_IS = re.compile(r"\s*(\||<|\[\w+\]: |#)")
"""Lines that may be longer: tables, HTML, addresses, headings."""

EXPLAINED = re.findall(
    r"^\| `([^`]+)` \| a ", (DOCS / "errors.md").read_text("utf-8"), re.MULTILINE
)
"""Lines of the log."""

NAMED_FILE = re.compile(r"`([\w./-]+\.(?:py|lua|sql))`")
SYMBOLS = re.compile(r"((?:`\w+`(?:, | and | or )?)+) in `([\w./-]+\.py)`")
"""Names, and the file that they are said to be in."""

RECORDS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "index.md")


@for_each("page", [README, CONTRIBUTING, *PAGES])
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


PAGES_OF_THE_HOUSE = [
    CONTRIBUTING,
    *(DOCS / f"{page}.md" for page in ("architecture", "life-of-a-message", "reliability")),
    *RECORDS,
]


def defines(file: Path, name: str) -> bool:
    """Whether a file has a function, a class or a value of this name."""
    definition = rf"^ *(?:(?:async )?def |class )?{name}\b[^.]"
    return re.search(definition, file.read_text("utf-8"), re.MULTILINE) is not None


class TestFilesOfTheHouse:
    """`test_docs_links.py` checks paths from the root, these tests the rest."""

    @for_each("page", PAGES_OF_THE_HOUSE)
    def test_a_file_without_its_folder_is_a_script(self, page: Path) -> None:
        named = [file for file in NAMED_FILE.findall(prose_of(page)) if "/" not in file]
        scripts = {path.name for path in (ROOT / "ltq/brokers/redis/lua").glob("*.lua")}
        assert set(named) - scripts == set(), "name the file by its path from the root"

    @for_each("page", PAGES_OF_THE_HOUSE)
    def test_what_is_said_to_be_in_a_file_is_defined_there(self, page: Path) -> None:
        said = [
            (name, file)
            for names, file in SYMBOLS.findall(" ".join(prose_of(page).split()))
            for name in re.findall(r"`(\w+)`", names)
        ]
        assert [one for one in said if not defines(ROOT / one[1], one[0])] == []

    def test_the_map_answers_with_a_file_in_each_row(self) -> None:
        rows = re.findall(r"^\| [^|]+\? \|(.+)\|$", CONTRIBUTING.read_text("utf-8"), re.MULTILINE)
        assert len(rows) > 25
        assert [row for row in rows if not NAMED_FILE.search(row) and "README.md" not in row] == []

    def test_every_room_is_listed(self) -> None:
        text = (DOCS / "architecture.md").read_text("utf-8")
        rooms = set(re.findall(r"^\| `(ltq/[\w/]*)` \|", text, re.MULTILINE))
        folders = {path.parent.relative_to(ROOT) for path in (ROOT / "ltq").rglob("*.py")}
        parts = {"cli", "conformance"}  # one folder each for a command, for a half of the suite
        all_rooms = {f"{folder}/" for folder in folders if not parts & {*folder.parts[:-1]}}
        assert rooms == all_rooms | {"ltq/brokers/redis/lua/", "ltq/brokers/postgres/sql/"}

    def test_the_calls_of_the_drawn_walks_are_there(self) -> None:
        named = re.findall(r"\bcalls\.(\w+)", (DOCS / "architecture.md").read_text("utf-8"))
        assert set(named) <= {script.__name__ for script in SCRIPTS.values()}
        assert named != []

    def test_every_promise_names_files(self) -> None:
        text = (DOCS / "reliability.md").read_text("utf-8").partition("\n## ")[0]
        rows = re.findall(r"^\| [^-|].+\| ([^|]+) \|$", text, re.MULTILINE)[1:]
        assert len(rows) > 10
        assert [row for row in rows if not NAMED_FILE.search(row)] == []


@for_each("record", RECORDS)
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


@for_each("file", sorted((ROOT / ".github").rglob("*.yml")))
def test_what_github_reads_is_yaml(file: Path) -> None:
    assert isinstance(yaml.safe_load(file.read_text("utf-8")), dict)
