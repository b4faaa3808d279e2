"""Sending a task when a transaction of Django's has committed."""

from typing import TypeVar

from django.db import transaction

from ltq._aio.loops import loop_here
from ltq.contrib._messages import task_of
from ltq.errors import ConfigurationError
from ltq.message import Message
from ltq.sync import SyncHandle

R = TypeVar("R")


def send_on_commit(
    message: Message[R], *, using: str | None = None, robust: bool = False
) -> SyncHandle[R]:
    """Send a message of `task.message(...)` once the present transaction has committed.

    `using` is the alias of the database, by default the default one. The task is not sent if the
    transaction is rolled back, or an `atomic` block around the call. That `savepoint_rollback` was
    called by hand does not count, as with all that `on_commit` calls. Without a transaction it is
    sent now. The arguments are checked now. The handle is returned now, so that its id may be
    stored; until the commit there is no such task. With `unique_for` the task may turn out to be
    one sent before, and then none has this id.

    If the broker does not answer after the commit, the end of the `atomic` block raises what
    `send_sync` raises: what the transaction wrote is there, the task is not, and what else waits
    for the commit is not called. With `robust` Django logs the error instead, and goes on.
    Raises `ConfigurationError` for a message that no task has made, and in an event loop, where
    Django has no transactions.
    """
    task = task_of(message)
    if loop_here() is not None:
        raise ConfigurationError(
            "in an event loop Django has no transaction: use `await task.send(...)`, or put the "
            "transaction into a function and call it with sync_to_async"
        )

    def send() -> None:
        task.send_many_sync([message])

    send.__qualname__ = f"send of {task.name}"  # Django names it in its log
    transaction.on_commit(send, using=using, robust=robust)
    return task.handle_sync(message.id)
