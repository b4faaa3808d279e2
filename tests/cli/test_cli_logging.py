"""What the command line does with LTQ's logs."""

import io
import json
import logging
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ltq import Worker
from ltq.broker import Broker
from ltq.logger import TaskFilter, enable_loggers, get_logger, printable, running, setup_logging
from tests.cli import jobs
from tests.cli.processes import run_ltq


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_writes_plain_lines_to_what_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    get_logger("emails").info("%d sent", 3)
    out, err = capsys.readouterr()
    assert out == ""
    stamp, level, name, message = err.split(maxsplit=3)
    assert stamp[10] == "T"
    assert (level, name, message) == ("INFO", "ltq.emails", "3 sent\n")


def test_it_is_short_and_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    setup_logging()
    get_logger("emails").warning("full")
    assert "\x1b[33mWARNING " in terminal.getvalue()
    assert "\x1b[2memails\x1b[0m full\n" in terminal.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_without_colours_gets_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv(name, value)
    setup_logging()
    get_logger().warning("full")
    assert "\x1b" not in terminal.getvalue()
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING  ltq full\n", terminal.getvalue())


def test_the_level_holds_and_may_be_set_again(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("error")
    get_logger().warning("unheard")
    setup_logging(logging.DEBUG)
    get_logger().debug("heard")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[-1] for line in lines] == ["heard"]


def test_other_loggers_are_left_alone(
    ltq_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root = list(logging.getLogger().handlers)
    setup_logging()
    assert logging.getLogger().handlers == root
    assert ltq_logger.propagate is False
    logging.getLogger("somebody").info("unheard")
    assert capsys.readouterr().err == ""


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    get_logger().error("a\x1b[31m\r\nERROR forged\x9b %s", "\u202e")
    err = capsys.readouterr().err
    assert err.endswith("a\\x1b[31m\\r\\nERROR forged\\x9b \\u202e\n")
    assert len(err.splitlines()) == 1


def test_a_traceback_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    try:
        raise ValueError("bad \x1b[31m\nthing")
    except ValueError:
        get_logger().exception("it failed")
    lines = capsys.readouterr().err.split("\n")
    assert lines[0].endswith("it failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-3:] == ["ValueError: bad \\x1b[31m", "thing", ""]


def test_a_wrong_message_is_told_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    get_logger().info("%d", "three")
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢 [b]", "plain ü 漢 [b]"),
        ("\x00\t\x7f\x85", r"\x00\t\x7f\x85"),
        ("\u2028\u2066\ud800", r"\u2028\u2066\ud800"),
        ("a\u200e\u200f\u061cb", r"a\u200e\u200f\u061cb"),
        ("zero\u200bwidth\u2060\ufeff", r"zero\u200bwidth\u2060\ufeff"),
        ("soft\xadhyphen", r"soft\xadhyphen"),
        ("\U000e0041 \u3164", r"\U000e0041 \u3164"),
        (
            "⚠️ naïve e\u0301 שלום عربي हिन्दी \xa0 \u3000",
            "⚠️ naïve e\u0301 שלום عربي हिन्दी \xa0 \u3000",
        ),
    ],
)
def test_a_text_for_a_terminal_has_no_controls(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_of_each_kind_that_controls_none_reaches_a_terminal() -> None:
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
    controls = [
        char
        for char in map(chr, range(0x110000))
        if unicodedata.category(char) in kinds or unicodedata.bidirectional(char) in directions
    ]
    assert len(controls) > 2000
    assert [char for char in controls if printable(char) == char] == []


@dataclass
class _Run:
    task_name: str = "mail:send"
    id: str = "0c8b"
    attempt: int = 2
    tags: tuple[str, ...] = ()


@pytest.fixture
def in_a_task() -> Iterator[None]:
    token = running.set(_Run())
    yield
    running.reset(token)


@pytest.mark.usefixtures("in_a_task")
class TestTask:
    def test_a_line_ends_with_the_task_it_was_logged_in(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging()
        get_logger().info("hello")
        assert capsys.readouterr().err.endswith(" hello [mail:send 0c8b #2]\n")

    def test_what_the_message_says_is_not_said_again(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup_logging()
        get_logger().info("mail:send 0c8b failed")
        assert capsys.readouterr().err.endswith(" mail:send 0c8b failed [#2]\n")

    def test_a_filter_tells_it_to_handlers_of_ones_own(self) -> None:
        record = logging.makeLogRecord({"msg": "x"})
        assert TaskFilter().filter(record)
        fields = vars(record)
        assert [fields[f"ltq_{name}"] for name in ("task", "id", "attempt", "tags")] == [
            "mail:send",
            "0c8b",
            2,
            (),
        ]

    def test_json_has_it_in_fields(self, capsys: pytest.CaptureFixture[str]) -> None:
        setup_logging(as_json=True)
        get_logger("a").warning("full\n\x1b[31m\x7f %s", "ü\u2028")
        text = capsys.readouterr().err
        assert len(text.splitlines()) == 1
        assert text.isascii()
        assert text.strip().isprintable()
        found = json.loads(text)
        assert datetime.fromisoformat(found.pop("time")).utcoffset() == timedelta(0)
        assert found == {
            "level": "warning",
            "logger": "ltq.a",
            "message": "full\n\x1b[31m\x7f ü\u2028",
            "task": "mail:send",
            "id": "0c8b",
            "attempt": 2,
        }


def test_json_has_the_tags_of_the_task_if_it_has_any(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(as_json=True)
    token = running.set(_Run(tags=("billing", "tenant:7")))
    get_logger().info("hello")
    running.reset(token)
    assert json.loads(capsys.readouterr().err)["tags"] == ["billing", "tenant:7"]


def test_outside_of_a_task_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(as_json=True)
    get_logger().info("hello")
    assert {"task", "id", "attempt", "tags"}.isdisjoint(json.loads(capsys.readouterr().err))


def test_json_has_the_error_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(as_json=True)
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        get_logger().exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    error = json.loads(line)["error"]
    assert (error["type"], error["message"]) == ("ValueError", "bad\nthing")
    assert error["traceback"].startswith("Traceback (most recent call last):\n")


@contextmanager
def root_logger(*handlers: logging.Handler) -> Iterator[logging.Logger]:
    """The root logger with these handlers only; all is undone."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    root.handlers[:] = handlers
    try:
        yield root
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])


class TestEverybody:
    def test_others_are_written_in_the_same_way(self, capsys: pytest.CaptureFixture[str]) -> None:
        with root_logger():
            setup_logging("info", everybody=True)
            logging.getLogger("shop").info("sold")
            logging.getLogger("shop").debug("unheard")
            get_logger().info("once")
        first, second = capsys.readouterr().err.splitlines()
        assert first.endswith(" INFO shop sold")
        assert second.endswith(" INFO ltq once")

    def test_who_has_set_logging_up_is_left_alone(self) -> None:
        own = logging.NullHandler()
        with root_logger(own) as root:
            level = root.level
            setup_logging("debug", everybody=True)
            assert (root.handlers, root.level) == ([own], level)


async def test_a_tasks_own_logs_are_shown_with_the_task(
    redis_url: str, broker: Broker, tasks: None
) -> None:
    handle = await jobs.tell.send("one\ntwo")
    command = ("run", "tests.cli.jobs:worker", "--burst", "--broker-url", redis_url)
    done = await run_ltq(*command, "--log-format", "json")
    assert done.code == 0
    lines = [json.loads(line) for line in done.err.splitlines()]
    (found,) = [line for line in lines if line["logger"] == "shop"]
    del found["time"]
    assert found == {
        "level": "info",
        "logger": "shop",
        "message": "told: one\ntwo",
        "task": "jobs:tell",
        "id": handle.id,
        "attempt": 1,
    }
    assert all("task" not in line for line in lines if line["logger"] == "ltq.cli")
    await jobs.tell.send("x")
    done = await run_ltq(*command)
    assert any("INFO shop told: x [jobs:tell" in line for line in done.err.splitlines())


DICT_CONFIG = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "CRITICAL"}},
    "root": {"handlers": ["console"]},
})
"""
FILE_CONFIG = """
import io, logging.config
logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=
[logger_root]
handlers=console
[handler_console]
class=StreamHandler
level=CRITICAL
args=()
'''))
"""
SHOP = """
from contextlib import asynccontextmanager
import ltq

{at_import}


@asynccontextmanager
async def lifespan(worker):
    {at_start}
    yield


worker = ltq.Worker("shop", broker_url="{url}", lifespan=lifespan)
app = ltq.App()
app.register_worker(worker)


@worker.task
async def fail() -> None:
    worker.logger.warning("the worker's own")
    raise ValueError("the task's error")

{at_end}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "place", "command"),
    [
        (DICT_CONFIG, "at_import", ["shop:worker"]),
        (DICT_CONFIG, "at_end", ["shop:worker"]),
        (FILE_CONFIG, "at_end", ["--app", "shop:app"]),
        (DICT_CONFIG, "at_end", ["shop:worker", "--processes", "2"]),
        ("import config", "at_start", ["shop:worker"]),
    ],
    ids=["dictConfig", "at the end", "fileConfig and an App", "processes", "lifespan"],
)
async def test_logging_that_the_tasks_set_up_does_not_silence_it(
    tmp_path: Path, broker: Broker, redis_url: str, config: str, place: str, command: list[str]
) -> None:
    places = {"at_import": "", "at_start": "pass", "at_end": ""}
    text = SHOP.format(url=redis_url, **(places | {place: config}))
    (tmp_path / "shop.py").write_text(text, "utf-8")
    (tmp_path / "config.py").write_text(DICT_CONFIG, "utf-8")
    shop = Worker("shop", broker=broker)

    @shop.task
    async def fail() -> None: ...

    await fail.send()
    done = await run_ltq("run", *command, "--burst", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "the worker's own" in done.err
    assert "the task's error" in done.err
    assert "has stopped" in done.err


def test_without_a_set_up_of_the_command_line_a_program_may_silence_it(
    ltq_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ltq_logger, "handlers", [])
    monkeypatch.setattr(get_logger("emails"), "disabled", True)
    enable_loggers()
    assert get_logger("emails").disabled
