"""LTQ's loggers. Nothing is printed unless the program, or the command line, sets logging up."""

import logging
import os
import re
import sys
import time

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, what reverses the direction of text, lone surrogates."""

_COLOURS = {
    logging.DEBUG: "2",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "1;31",
}


def get_logger(name: str = "ltq") -> logging.Logger:
    """The logger `ltq`, or `ltq.{name}`."""
    return logging.getLogger(name if name == "ltq" else f"ltq.{name}")


def setup_logging(level: int | str = "INFO") -> None:
    """Let LTQ's loggers write to stderr: coloured and short on a terminal, plain otherwise.

    For the command line; a program of your own configures `logging` as it likes. Loggers outside
    `ltq` are left alone, and LTQ's messages no longer reach the root logger's handlers. Calling it
    again only changes the level.
    """
    logger = get_logger()
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    logger.propagate = False
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        logger.addHandler(_StderrHandler())


class Seldom:
    """Says what may repeat many times a second, such as that a server is away, every few seconds.

    The first warning is logged at once; those that come within `every` seconds are left out.
    """

    def __init__(self, logger: logging.Logger, every: float = 5.0) -> None:
        self._logger = logger
        self._every = every
        self._next = 0.0

    def warning(self, message: str, *args: object) -> None:
        """Log a warning, unless one was logged just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            self._logger.warning(message, *args)

    def over(self) -> bool:
        """What was warned of has ended: the next warning is a new one. Whether there was one."""
        warned, self._next = self._next > 0, 0.0
        return warned


def printable(text: str) -> str:
    """The text on one line, fit for a terminal: control characters are shown as escapes."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            format_record = _format_short if _is_colourful() else _format_plain
            sys.stderr.write(format_record(record) + _format_error(record) + "\n")
            sys.stderr.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)


def _is_colourful() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not plain


def _format_short(record: logging.LogRecord) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(record.created))
    colour = _COLOURS.get(record.levelno, "0")
    level = f"\x1b[{colour}m{record.levelname:<8}\x1b[0m"
    name = printable(record.name.removeprefix("ltq."))
    return f"\x1b[2m{clock}\x1b[0m {level} \x1b[2m{name}\x1b[0m {printable(record.getMessage())}"


def _format_plain(record: logging.LogRecord) -> str:
    moment = time.localtime(record.created)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", moment)
    zone = time.strftime("%z", moment)
    text = f"{stamp}.{int(record.msecs):03d}{zone} {record.levelname} {record.name}"
    return printable(f"{text} {record.getMessage()}")


def _format_error(record: logging.LogRecord) -> str:
    """The traceback, if there is one, on lines of its own."""
    if not record.exc_info:
        return ""
    trace = logging.Formatter().formatException(record.exc_info)
    return "".join(f"\n{printable(line.expandtabs(4))}" for line in trace.split("\n"))
