"""What the prose names is there: members of objects, options, errors."""

import inspect
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import ltq
import ltq.testing
import ltq.web  # pages name it
from ltq.message import Envelope, Finish, Requeue
from ltq.options import SendOptions, TaskOptions
from tests.docs.pages import DOCS, PAGES, Block, blocks_of, python_of
from tests.for_each import for_each

worker = ltq.Worker("words", broker_url="memory://words")


@worker.task
async def word(text: str) -> None: ...


@worker.task
async def words(text: str) -> AsyncIterator[str]:
    yield text


OBJECTS: dict[str, list[object]] = {
    "app": [ltq.App()],
    "box": [ltq.testing.use(worker)],
    "broker": [worker.broker, ltq.testing.FlakyBroker],
    "clock": [ltq.testing.Clock()],
    "handle": [word.handle("1"), words.handle("1"), word.step("a").handle("1")],
    "node": [word.step("a"), ltq.WorkflowNode(id="", task_name="", queue="", status=None)],
    "ltq": [ltq],
    "message": [word.message("1")],
    "scheduler": [ltq.Scheduler("memory://words")],
    "state": [ltq.TaskState],
    "stream": [ltq.Stream, ltq.SyncStream],
    "task": [word, words],
    "worker": [worker],
}
SPAN = re.compile(r"`([^`\n]+)`")
OWNERS = "|".join(OBJECTS)
MEMBER = re.compile(rf"""(?<![\w./{{:"'])({OWNERS})\.([a-z_]\w*)(?![\w./])""")
KEYWORD = re.compile(r"(?<![\w-])([a-z_]{2,})=(?!=)")
FILES = {"md", "py", "conf", "html", "lua", "toml"}
MODULES = {name.split(".")[1] for name in list(sys.modules) if name.startswith("ltq.")}
ATTRIBUTES = {"attempt", "id", "outcome", "task"}
"""Names of what is told to others, as `ltq.task`."""
QUEUES = {"shop", "dead"}
"""What RabbitMQ has by these names, as `ltq.dead`."""

COMING_FROM = [page for page in PAGES if page.parent.name == "coming-from"]
PEER_CODE = [block for page in PAGES for block in blocks_of(page) if block.language == "py"]


def keywords() -> set[str]:
    """Every name that anything of LTQ takes as a keyword."""
    found = {*TaskOptions.__annotations__, *SendOptions.__annotations__}
    takers: list[Callable[..., Any]] = [
        ltq.Worker,
        ltq.Scheduler,
        ltq.App,
        ltq.gather,
        ltq.as_completed,
    ]
    takers += [ltq.RetryError, ltq.testing.use, ltq.testing.drain, ltq.setup_logging]
    takers += [Envelope, Finish, Requeue]
    for owner in (ltq.Handle, ltq.Worker, ltq.Scheduler, ltq.Broker, ltq.testing.Clock):
        takers += [value for name, value in vars(owner).items() if inspect.isfunction(value)]
    for taker in takers:
        found |= set(inspect.signature(taker).parameters)
    return found


def right_column(page: Path) -> str:
    """What is LTQ's, of the tables of a page that compares."""
    lines = page.read_text("utf-8").splitlines()
    return "\n".join(line.split(" | ", 1)[1] for line in lines if " | " in line)


@for_each("page", PAGES)
def test_members_that_are_named_are_there(page: Path) -> None:
    text = right_column(page) if page in COMING_FROM else page.read_text("utf-8")
    missing = []
    for span in SPAN.findall(text):
        for owner, member in MEMBER.findall(span):
            names = {name for value in OBJECTS[owner] for name in dir(value)} | FILES
            if owner == "ltq":
                names |= MODULES | ATTRIBUTES | QUEUES
            if member not in names:
                missing.append(f"{owner}.{member}")
    assert missing == []


@for_each("page", COMING_FROM)
def test_keywords_of_the_right_column_are_taken(page: Path) -> None:
    spans = SPAN.findall(right_column(page))
    assert {word for span in spans for word in KEYWORD.findall(span)} - keywords() == set()


@pytest.mark.parametrize("block", PEER_CODE, ids=lambda block: block.place)
def test_code_that_is_not_ours_stands_where_it_is_compared(block: Block) -> None:
    assert block.page.parent.name == "coming-from"
    compile(block.text, block.place, "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT


def test_every_page_of_comparison_has_a_table_and_an_example() -> None:
    for page in COMING_FROM:
        if page.stem != "index":
            assert "## Equivalents" in page.read_text("utf-8"), page
            assert "## What LTQ lacks" in page.read_text("utf-8"), page
            assert python_of(page), page


def test_every_option_has_an_example() -> None:
    code = "".join(block.text for block in python_of(DOCS / "options.md"))
    table = (DOCS / "options.md").read_text("utf-8")
    for option in TaskOptions.__annotations__:
        assert re.search(rf"\.task\([^@]*?\b{option}=", code), f"{option} at a task"
        assert f"`{option}`" in table, option
    for option in SendOptions.__annotations__:
        assert re.search(rf"with_options\([^@]*?\b{option}=", code), f"{option} at a send"
        assert f"`{option}`" in table, option


def test_every_error_is_explained() -> None:
    text = (DOCS / "errors.md").read_text("utf-8")
    tree = text.split("```text\n")[1].split("```")[0]
    assert tree.split() == [
        word
        for line in (inspect.getdoc(inspect.getmodule(ltq.LtqError)) or "").splitlines()
        if "Error" in line and not line.startswith("Every")
        for word in re.split(r"\s{2,}[a-z`R]", line)[0].split()
    ]
    errors = [name for name in ltq.__all__ if name.endswith("Error") and name != "LtqError"]
    for name in errors:
        assert f"`{name}`" in text.split("```\n")[1], name
