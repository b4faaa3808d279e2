"""What the command line does with LTQ's logs."""

import io
import logging
import sys

import pytest

from ltq.logger import get_logger, printable, setup_logging


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
    ],
)
def test_a_text_for_a_terminal_has_no_controls(text: str, shown: str) -> None:
    assert printable(text) == shown
