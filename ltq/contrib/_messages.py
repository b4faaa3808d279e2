"""Messages that are sent later, when a transaction has committed."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ltq._display.errors import name_of, text_of
from ltq._display.values import short_repr
from ltq._sender.prepared import PreparedMessage
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.task import Task

R = TypeVar("R")

logger = logging.getLogger("ltq.contrib")


def task_of(message: Message[R]) -> Task[..., R]:
    """The task that has made a message. Raises `ConfigurationError` if none has."""
    task = message.task if isinstance(message, PreparedMessage) else None
    if isinstance(task, Task):
        return task
    raise ConfigurationError(
        f"{short_repr(message)} cannot be sent on commit: give what task.message(...) returned"
    )


def by_task(
    messages: Iterable[Message[Any]],
) -> list[tuple[Task[..., Any], list[Message[Any]]]]:
    """The messages of each task, in the order in which the tasks first appear."""
    found: dict[int, tuple[Task[..., Any], list[Message[Any]]]] = {}
    for message in messages:
        task = task_of(message)
        found.setdefault(id(task), (task, []))[1].append(message)
    return [*found.values()]


def log_unsent(messages: Sequence[Message[Any]], error: BaseException) -> None:
    """Log that messages were not sent although their transaction has committed."""
    text = "%s %s was not sent, although its transaction has committed: %s: %s"
    for message in messages:
        logger.error(text, message.task_name, message.id, name_of(error), text_of(error))
