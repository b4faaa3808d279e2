"""What `aiormq` logs of LTQ's own connections: LTQ tells the same, once and in fewer words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_ours = ContextVar("ltq.rabbitmq.is_ours", default=False)
"""Whether the running code works for a connection of LTQ's: tasks that it starts inherit that."""


class _OnlyDebug(logging.Filter):
    """Records of LTQ's connections are for the level DEBUG. Those of others pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _is_ours.get():
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_only_debug = _OnlyDebug()
for _name in ("aiormq.connection", "aiormq.channel"):
    logging.getLogger(_name).addFilter(_only_debug)


@contextmanager
def quiet() -> Iterator[None]:
    """For the time of the context: also around calls of others, whose own connections are heard."""
    before = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(before)


def keep_quiet() -> None:
    """From here on, in this context, what `aiormq` does is done for LTQ."""
    _is_ours.set(True)
