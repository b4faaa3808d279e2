"""Which tasks of a queue are meant by their status, name, tag and age."""

from collections.abc import Collection, Container
from dataclasses import dataclass

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.names import check_name, check_tag
from ltq.options import seconds
from ltq.state import Status

_WAITING = (Status.PENDING, Status.DELAYED)
_CANCELLABLE = (*_WAITING, Status.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Tasks by their status, name and tag."""

    statuses: Collection[Status]
    task_name: str | None = None
    tag: str | None = None

    def matches(self, status: Status, task_name: str, tags: Container[str]) -> bool:
        """Whether a task is one of them."""
        is_wanted = status in self.statuses and self.task_name in (None, task_name)
        return is_wanted and (self.tag is None or self.tag in tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(TaskFilter):
    """Which tasks of a queue `Steering.cancel_many` cancels."""

    statuses: tuple[Status, ...] = _WAITING
    older_than: float = 0.0
    """Seconds since they were sent, at least."""

    def means(self, status: Status, task_name: str, tags: Container[str], age: float) -> bool:
        """Whether a task that was sent `age` seconds ago is one of them."""
        return age >= self.older_than and self.matches(status, task_name, tags)


def check_selection(
    queue: object, status: object, task_name: object, tag: object, older_than: object
) -> Selection:
    """The arguments of `Steering.cancel_many`. Raises `ConfigurationError`."""
    check_name("queue", queue)
    chosen = [one for one in _CANCELLABLE if one == status]
    if status is not None and not chosen:
        allowed = ", ".join(one.value for one in _CANCELLABLE)
        raise ConfigurationError(
            f"status={short_repr(status)} is not allowed: one of {allowed}, or None for those that "
            "wait"
        )
    return Selection(
        statuses=tuple(chosen) or _WAITING,
        task_name=None if task_name is None else check_name("task", task_name),
        tag=None if tag is None else check_tag(tag),
        older_than=0.0 if older_than is None else seconds("older_than", older_than, zero=True),
    )
