"""LTQ's loggers. They print nothing unless the program, or the command line, sets up logging."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # lone surrogates
    # Format characters (Cf of Unicode): among others, they change the direction of text.
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # Others that nobody sees: fillers, joiners, vowels that are never shown.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"
    "]"
)
"""What may not reach a terminal as it is."""

_COLOURS = {
    logging.DEBUG: "2",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "1;31",
}


def get_logger(name: str = "ltq") -> logging.Logger:
    """The logger `ltq`, or `ltq.{name}`. Raises `ConfigurationError` for what is not a text."""
    if not isinstance(name, str):
        raise ConfigurationError(f"name={short_repr(name)} is not allowed: a text")
    return logging.getLogger(name if name == "ltq" else f"ltq.{name}")


class Run(Protocol):
    """What log records contain of the running task. `ltq.Context` is one."""

    @property
    def task_name(self) -> str:
        """The task's name."""
        ...

    @property
    def id(self) -> str:
        """The task's id."""
        ...

    @property
    def attempt(self) -> int:
        """The number of this try, from 1."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """The task's tags."""
        ...


running: ContextVar[Run | None] = ContextVar("ltq.running", default=None)
"""The run of the present task: set in its asyncio task, and so in its thread."""


class TaskFilter(logging.Filter):
    """Adds to each record the task it was logged in: `ltq_task`, `ltq_id`, `ltq_attempt` and its
    tags, `ltq_tags`.

    It is for your own handlers: `handler.addFilter(ltq.TaskFilter())`. Outside of tasks the four
    attributes are None. It lets every record pass. If a handler passes records to another thread
    (a `QueueHandler`), add it to that handler, not to the one behind.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the four attributes."""
        run = running.get()
        record.ltq_task = None if run is None else run.task_name
        record.ltq_id = None if run is None else run.id
        record.ltq_attempt = None if run is None else run.attempt
        record.ltq_tags = None if run is None else run.tags
        return True


def setup_logging(
    level: int | str = "INFO", *, as_json: bool = False, everybody: bool = False
) -> None:
    """Let LTQ's loggers write to stderr, as the command line does.

    On a terminal lines are short and coloured, elsewhere plain; with `as_json` each is a JSON
    object. Every line names the task it was logged in. Other loggers are left alone, unless
    `everybody` is true and the root logger has no handler yet: then its records are written in the
    same way, from the same level on. LTQ's own records no longer reach the root logger's handlers.
    Calling it again changes level and format. Raises `ConfigurationError` for an unknown level.
    """
    logger = get_logger()
    level = _checked_level(level)
    logger.setLevel(level)
    logger.propagate = False
    _own_handler(logger).as_json = as_json
    root = logging.getLogger()
    others = [one for one in root.handlers if not isinstance(one, _StderrHandler)]
    if everybody and not others:
        root.setLevel(level)
        _own_handler(root).as_json = as_json


def _checked_level(level: object) -> int:
    """The number of a level. Raises `ConfigurationError` if there is no such level."""
    names = logging.getLevelNamesMapping()
    number = names.get(level.upper()) if isinstance(level, str) else level
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        return number
    raise ConfigurationError(
        f"level={short_repr(level)} is not allowed: a number, or one of {', '.join(names)}"
    )


def enable_loggers() -> None:
    """Let LTQ's loggers work again after `dictConfig` or `fileConfig`, if `setup_logging` was used.

    These disable all loggers that exist and are not named, unless they are told not to.
    """
    logger = get_logger()
    if any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        known = list(logging.root.manager.loggerDict)
        for name in (name for name in known if name == "ltq" or name.startswith("ltq.")):
            logging.getLogger(name).disabled = False


def _own_handler(logger: logging.Logger) -> "_StderrHandler":
    for handler in logger.handlers:
        if isinstance(handler, _StderrHandler):
            return handler
    handler = _StderrHandler()
    logger.addHandler(handler)
    return handler


class ThrottledLogger:
    """Logs at most every few seconds what may happen many times a second, such as a lost server.

    The first warning is logged at once. Warnings within the next `every` seconds are left out.
    """

    def __init__(
        self,
        logger: logging.Logger,
        every: float = 5.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._every = every
        self._clock = clock
        self._silent_until: float | None = None

    def warning(self, message: str, *args: object) -> None:
        """Log a warning, unless one was logged less than `every` seconds ago."""
        now = self._clock()
        if self._silent_until is None or now >= self._silent_until:
            self._silent_until = now + self._every
            self._logger.warning(message, *args)

    def over(self) -> bool:
        """Note that the trouble is over; return whether there was a warning.

        The next warning is logged at once.
        """
        warned, self._silent_until = self._silent_until is not None, None
        return warned


def printable(text: str) -> str:
    """The text on one line, safe for a terminal.

    Control characters, those that change the direction of text, and invisible ones are shown as
    escapes.
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class _StderrHandler(logging.Handler):
    """Writes to `sys.stderr`, whatever that is at the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.as_json = False
        self.addFilter(TaskFilter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self._text(record) + "\n")
            sys.stderr.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def _text(self, record: logging.LogRecord) -> str:
        if self.as_json:
            return _format_json(record)
        format_record = _format_short if sys.stderr.isatty() else _format_plain
        return format_record(record) + _format_error(record)


def _format_short(record: logging.LogRecord) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(record.created))
    name = printable(record.name.removeprefix("ltq."))
    message = record.getMessage()
    level = _styled(f"{record.levelname:<8}", _COLOURS.get(record.levelno, "0"))
    text = f"{_styled(clock)} {level} {_styled(name)} {printable(message)}"
    task = _tell_task(record, message)
    return f"{text} {_styled(task)}" if task else text


def _styled(text: str, style: str = "2") -> str:
    """The text in a style, pale by default; unchanged if the environment asks for no colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def _format_plain(record: logging.LogRecord) -> str:
    moment = time.localtime(record.created)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", moment)
    zone = time.strftime("%z", moment)
    text = f"{stamp}.{int(record.msecs):03d}{zone} {record.levelname} {record.name}"
    message = record.getMessage()
    return printable(f"{text} {message} {_tell_task(record, message)}".rstrip(" "))


def _tell_task(record: logging.LogRecord, message: str) -> str:
    """`[task id #attempt]` of the run it was logged in, without the words in the message."""
    task: Any = getattr(record, "ltq_task", None)
    if task is None:
        return ""
    task_id, attempt = getattr(record, "ltq_id", ""), getattr(record, "ltq_attempt", 1)
    words = [word for word in (task, task_id) if word not in message]
    return printable(f"[{' '.join([*words, f'#{attempt}'])}]")


def _format_json(record: logging.LogRecord) -> str:
    """The record as one line of JSON. Characters that are not printable ASCII are escaped."""
    moment = datetime.fromtimestamp(record.created, UTC)
    fields: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if getattr(record, "ltq_task", None) is not None:
        for name in ("task", "id", "attempt"):
            fields[name] = getattr(record, f"ltq_{name}")
        tags = getattr(record, "ltq_tags", None)
        if tags:
            fields["tags"] = tags
    if record.exc_info and record.exc_info[0] is not None:
        fields["error"] = {
            "type": record.exc_info[0].__name__,
            "message": str(record.exc_info[1]),
            "traceback": logging.Formatter().formatException(record.exc_info),
        }
    return json.dumps(fields).replace("\x7f", "\\u007f")


def _format_error(record: logging.LogRecord) -> str:
    """The traceback, if there is one, on lines of its own."""
    if not record.exc_info:
        return ""
    trace = logging.Formatter().formatException(record.exc_info)
    return "".join(f"\n{printable(line.expandtabs(4))}" for line in trace.split("\n"))
