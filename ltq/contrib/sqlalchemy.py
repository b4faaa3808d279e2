"""LTQ beside SQLAlchemy: tasks that are sent when a session has committed.

    with Session(engine) as session, session.begin():
        session.add(order)
        session.flush()
        handle = send_on_commit(session, confirm.message(order.id))

It works with every broker. Where the broker is in the session's own database, the option
`connection` is stronger: the task is then part of the transaction.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, overload

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session
from sqlalchemy.util.concurrency import await_only, in_greenlet

from ltq._aio.loops import loop_here
from ltq._display.values import short_repr
from ltq.contrib._messages import by_task, log_unsent, task_of
from ltq.errors import ConfigurationError
from ltq.handle import Handle
from ltq.message import Message
from ltq.sync import SyncHandle

if TYPE_CHECKING:  # it needs greenlet, which who has plain sessions may not have
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

__all__ = ["send_on_commit"]

R = TypeVar("R")

_Messages: TypeAlias = list[tuple[Message[Any], bool]]
"""Messages, and whether an error of their send is only logged."""

_SyncSession: TypeAlias = "Session | scoped_session[Session]"
_AsyncSession: TypeAlias = "AsyncSession | async_scoped_session[AsyncSession]"

_KEY = "ltq.contrib.sqlalchemy"


@overload
def send_on_commit(
    session: _SyncSession, message: Message[R], *, robust: bool = False
) -> SyncHandle[R]: ...
@overload
def send_on_commit(
    session: _AsyncSession, message: Message[R], *, robust: bool = False
) -> Handle[R]: ...
def send_on_commit(
    session: "_SyncSession | _AsyncSession", message: Message[R], *, robust: bool = False
) -> SyncHandle[R] | Handle[R]:
    """Send a message of `task.message(...)` once the session's transaction has committed.

    It is dropped if the transaction is rolled back, or the savepoint in which this was called, or
    if the session is closed before. Without a transaction this begins one, as a query does. The
    arguments are checked now. The handle is returned now, so that its id may be stored; until the
    commit there is no such task. With `unique_for` the task may turn out to be one sent before, and
    then none has this id. Of a session that joins a transaction of its connection, as in tests, its
    own commit counts.

    If the broker does not answer after the commit, `session.commit()` raises what `send` raises:
    what the transaction wrote is there, the task is not. With `robust` that is only logged. Raises
    `ConfigurationError` for a message that no task has made, and for a plain `Session` in the
    thread of an event loop, which a send would block.
    """
    task = task_of(message)
    plain, is_async = _plain(session)
    _outbox_of(plain).add(message, robust)
    return task.handle(message.id) if is_async else task.handle_sync(message.id)


def _plain(session: object) -> tuple[Session, bool]:
    """The plain session of those that stand for one, and whether it is used by coroutines.

    Raises `ConfigurationError`.
    """
    # Whoever has one of its objects has imported it.
    asynchronous: Any = sys.modules.get("sqlalchemy.ext.asyncio")
    if asynchronous is not None:
        if isinstance(session, asynchronous.async_scoped_session):
            session = cast(Any, session)()
        if isinstance(session, asynchronous.AsyncSession):
            return cast("AsyncSession", session).sync_session, True
    if isinstance(session, scoped_session):
        session = session()
    if not isinstance(session, Session):
        raise ConfigurationError(
            f"session={short_repr(session)} is not allowed: a Session or AsyncSession of SQLAlchemy"
        )
    if loop_here() is not None and not (sys.modules.get("greenlet") and in_greenlet()):
        raise ConfigurationError(
            "a Session in the thread of an event loop cannot send on commit, because that would "
            "block the loop: use an AsyncSession"
        )
    return session, False


def _outbox_of(session: Session) -> "_Outbox":
    outbox = session.info.get(_KEY)
    if not isinstance(outbox, _Outbox):
        outbox = session.info[_KEY] = _Outbox(session)
    return outbox


class _Outbox:
    """What a session has to send, by the transaction or savepoint on which it depends."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: dict[SessionTransaction, _Messages] = {}
        self._committed: SessionTransaction | None = None
        event.listen(session, "after_commit", self._note_commit)
        event.listen(session, "after_transaction_end", self._end)

    def add(self, message: Message[Any], robust: bool) -> None:
        """Keep a message until the innermost transaction ends."""
        innermost = self._innermost() or self._session.begin()
        self._waiting.setdefault(innermost, []).append((message, robust))

    def _innermost(self) -> SessionTransaction | None:
        return self._session.get_nested_transaction() or self._session.get_transaction()

    def _note_commit(self, session: Session) -> None:
        self._committed = self._innermost()

    def _end(self, session: Session, transaction: SessionTransaction) -> None:
        """Pass on what depends on a transaction that has ended: to the one around it, or out.

        It is sent only now, not at the commit: an error there would leave the session half closed.
        """
        messages = self._waiting.pop(transaction, [])
        if transaction is not self._committed:
            return
        self._committed = None
        if transaction.parent is not None:
            self._waiting.setdefault(transaction.parent, []).extend(messages)
        elif messages:
            _send(messages)


def _send(messages: _Messages) -> None:
    robust = {message.id for message, is_robust in messages if is_robust}
    groups = by_task(message for message, _ in messages)
    first: Exception | None = None
    for number, (task, group) in enumerate(groups):
        try:
            if loop_here() is None:
                task.send_many_sync(group)
            else:
                await_only(task.send_many(group))
        except Exception as error:
            if first is None and not {message.id for message in group} <= robust:
                first = error  # it is raised
            else:
                log_unsent(group, error)
        except BaseException as error:  # cancelled: nobody comes back to the rest
            for _, unsent in groups[number:]:
                log_unsent(unsent, error)
            raise
    if first is not None:
        raise first
