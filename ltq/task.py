"""A task: a function that can be sent."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, cast

from msgspec.structs import replace
from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq._aio.at_once import run_at_once
from ltq._aio.callables import is_awaitable
from ltq._aio.loops import running_loop
from ltq._aio.portal import check_no_loop, open_portal
from ltq._codec.call import CallCodec
from ltq._display.values import short_repr
from ltq._flow.parts import NodeTask
from ltq._sender.envelopes import EnvelopeMaker
from ltq._sender.follow_ups import SHORTEST_TTL
from ltq._sender.guards import guards
from ltq._sender.prepared import EncodedCall, PreparedMessage
from ltq._sender.publish import publish
from ltq._sender.sent import Sent, SentCallback
from ltq.broker import Broker, BrokerSource, Enlisted
from ltq.errors import ConfigurationError
from ltq.events import EventStream
from ltq.handle import Handle
from ltq.message import Envelope, Message
from ltq.names import check_id, new_id
from ltq.options import SendOptions, TaskConfig, parse_send_options
from ltq.sync import SyncHandle
from ltq.workflow.node import Node, _node_of

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)


class SendHook:
    """What is called with each message before it is sent. Every middleware is one."""

    options: ClassVar[frozenset[str]] = frozenset()
    """The task options that it implements."""

    def on_send(self, message: Message[Any], task: "Task[..., Any]") -> SentCallback | None:
        """Called for each message before it goes to the broker, in the process that sends.

        What it writes to `message.ctx` travels with the message, as JSON, to the worker. It is a
        plain method and must not block. If it raises an `LtqError`, `send` raises that and sends
        nothing. Any other error is logged, what the hook wrote is dropped, and the message is sent.

        It may return a function, which is called once when the broker has answered: with True if
        the message was enqueued, with False if it was not (its id exists, it is a duplicate, the
        queue is full, another scheduler was first), and with None if the broker did not answer. It
        must not block either, and may be called in another thread. Its errors are logged.
        """
        return None


class Task(Generic[P, R]):
    """A function that can be sent to workers: made by `@worker.task(...)`.

    Calling it runs the function in this process; `send` lets a worker run it.
    """

    name: str
    """`"worker:function"`."""
    queue: str
    """The queue it waits in."""
    fn: Callable[P, Awaitable[R]] | Callable[P, R]
    """The function."""
    is_async: bool
    """Whether the function is called in the event loop, as an `async def` is, not in a thread."""
    options: Mapping[str, Any]
    """The options as they were declared."""
    config: TaskConfig
    """The checked options, with all durations in seconds."""
    result_ttl: float
    """Seconds that the final state is kept, by the task's option or its worker's."""

    _source: BrokerSource
    _codec: CallCodec
    _events: EventStream
    _envelopes: "EnvelopeMaker[Task[..., Any]]"
    _send_options: SendOptions
    _connection: Any = None
    """The caller's connection in whose transaction it is sent."""
    _former_names: Sequence[str]

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function in this process; a plain `def` runs in a thread."""
        if self.is_async:
            given: Awaitable[R] | R = self.fn(*args, **kwargs)
        else:
            given = await asyncio.to_thread(self.fn, *args, **kwargs)
        while is_awaitable(given):
            given = await cast(Awaitable[R], given)
        return cast(R, given)

    def message(self, /, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """A message to be sent later, by `send_many` or a scheduler. The arguments are checked now.

        It is one task: if it is sent again while that task is there, nothing is enqueued.
        Raises `InvalidArgumentsError`, and `ConfigurationError` if this has the option
        `connection`: that belongs where the message is sent.
        """
        if self._connection is not None:
            raise ConfigurationError(
                f"{self.name}: a message has no connection: make it by the task without this "
                "option, and send it by task.with_options(connection=...).send_many([...])"
            )
        return self._message(*args, **kwargs)

    def _message(self, /, *args: P.args, **kwargs: P.kwargs) -> PreparedMessage[R]:
        options = self._envelopes.options
        return PreparedMessage(
            args=args,
            kwargs=kwargs,
            task_name=self.name,
            id=options.id or new_id(),
            options=options,
            tags=self._envelopes.tags,
            encoded=EncodedCall(args, kwargs, self._codec.encode_call(args, kwargs)),
            task=self,
        )

    async def send(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Let a worker run the task with these arguments.

        Raises `InvalidArgumentsError` (nothing was sent), `QueueFullError` (`max_pending` is
        reached), `ConfigurationError` (another task has this id, `with_options` set a `max_tries`
        that no middleware of the worker implements, or its `connection` cannot be used),
        `BrokerError` (the broker did not answer in time), and any `LtqError` that
        `Middleware.on_send` raises.
        """
        sent = self._envelopes.watch()
        envelope = self._envelopes.of_call(args, kwargs, self, sent)
        ids = await self._publish(self._publisher(), [envelope], sent)
        return self.handle(ids[0])

    async def send_many(self, messages: Sequence[Message[R]]) -> list[Handle[R]]:
        """Send messages of this task in as few calls as possible; return handles in their order.

        Options of `with_options` hold for each message that does not say its own. All arguments are
        checked before anything is sent. Each message that finds its queue full is given up or waits
        as its own `on_full` says; `QueueFullError` is raised when the others are sent. Raises what
        `send` raises, and `ConfigurationError` for several messages with one `id` of
        `with_options`.
        """
        publisher, sent = self._publisher(), self._envelopes.watch()
        envelopes = self._envelopes.of_messages(messages, self, sent)
        handles: list[Handle[R]] = []
        making = running_loop().call_soon(  # while the broker works
            lambda: handles.extend([self.handle(envelope.id) for envelope in envelopes])
        )
        try:
            ids = await self._publish(publisher, envelopes, sent)
        finally:
            making.cancel()
        if ids == [handle.id for handle in handles]:
            return handles
        return [self.handle(task_id) for task_id in ids]

    def send_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[R]:
        """`send` for code without an event loop: a Django view, a script, a plain `def` task.

        It works from any thread, also after a fork; `on_send` of the middleware runs in the
        caller's thread. Raises what `send` raises, and `ConfigurationError` within an event loop,
        because it would block that loop.
        """
        check_no_loop(f"await {self.name}.send(...)")  # before the arguments are checked
        return self.send_many_sync([self._message(*args, **kwargs)])[0]

    def send_many_sync(self, messages: Sequence[Message[R]]) -> list[SyncHandle[R]]:
        """`send_many` for code without an event loop. Raises what `send_sync` raises."""
        instead = f"await {self.name}.send_many(...)"
        if self._connection is None:
            portal, broker = open_portal(instead), self._broker()
            ids = portal.call(broker, self._publish_all(broker, messages))
        else:
            check_no_loop(instead)
            ids = self._publish_here(messages, instead)
        return [self.handle_sync(task_id) for task_id in ids]

    def step(self, /, *args: P.args, **kwargs: P.kwargs) -> Node[R]:
        """A node of a workflow that runs the task with these arguments: see `ltq.workflow`.

        Nothing is sent yet. Raises `InvalidArgumentsError`, and `ConfigurationError` if this has
        the option `id` or `connection`.
        """
        return _node_of(self._node_task(), args, kwargs)

    def _node_task(self) -> NodeTask:
        """What a node of a workflow needs of it. Raises what `step` raises."""
        for option in ("id", "connection"):
            if option in self._send_options:
                raise ConfigurationError(
                    f"{self.name}: a node has no {option}: the node that is sent may have an id, "
                    "node.with_options(id=...)"
                )
        return NodeTask(
            self,
            self.name,
            self.queue,
            self._source,
            self._codec,
            self._envelopes,
            self._events,
            self.result_ttl,
            self.config.timeout,
        )

    def _follow_up(self, message: Message[R], sent: Sent) -> Envelope:
        """The envelope of a message that is sent when a run completes. Raises what `send` raises.

        It goes out in any case, and perhaps once more after a crash: a full queue takes it, and it
        is known by its id.
        """
        own = self._envelopes.of_message(message, self, sent)
        ttl = self.result_ttl if own.result_ttl is None else own.result_ttl
        kept = own.result_ttl if ttl >= SHORTEST_TTL else SHORTEST_TTL
        envelope = replace(own, max_pending=None, has_new_id=False, result_ttl=kept)
        sent.replace(own, envelope)
        return envelope

    def with_options(self, /, **options: Unpack[SendOptions]) -> "Task[P, R]":
        """The same task, with options for tasks that are sent through it.

            await fetch.with_options(delay=30, priority="high").send("python/cpython")

        They hold for each call and each message that is sent, unless the message says its own.
        Raises `ConfigurationError` for an unknown or wrong option.
        """
        merged: SendOptions = {**self._send_options, **options}
        other = copy.copy(self)
        envelopes = self._envelopes.with_options(parse_send_options(merged))
        connection = merged.get("connection")
        if connection is None and "connection" in merged:
            raise ConfigurationError(
                "connection=None is not allowed: an open connection of your database"
            )
        vars(other).update(_send_options=merged, _envelopes=envelopes, _connection=connection)
        return other

    def handle(self, id: str) -> Handle[R]:  # noqa: A002  the field's name for it
        """The handle of a task that was sent by any process. The broker is not called yet.

        Raises `ConfigurationError` for what is not a text.
        """
        return Handle(
            self._source,
            check_id(id),
            task_name=self.name,
            queue=self.queue,
            decode=self._codec.decode_result,
            result_ttl=self.result_ttl,
            timeout=self.config.timeout,
        )

    def handle_sync(self, id: str) -> SyncHandle[R]:  # noqa: A002  the field's name for it
        """`handle` for code without an event loop."""
        return SyncHandle(self._source, self.handle(id))

    def _broker(self) -> Broker:
        """The broker to send to. Raises what a guard raises."""
        for guard in guards:
            guard(self.name, self._source)
        return self._source.broker

    def _publisher(self) -> Broker | Enlisted:
        """What takes the tasks: the broker, or the transaction of the caller's connection."""
        broker = self._broker()
        return broker if self._connection is None else broker.enlist(self._connection)

    def _publish_here(self, messages: Sequence[Message[R]], instead: str) -> list[str]:
        """Send in this thread, to which the connection belongs."""
        publisher = self._broker().enlist(self._connection)
        if publisher.is_async:
            raise ConfigurationError(
                f"connection={short_repr(self._connection)} is asynchronous: use `{instead}`"
            )
        return run_at_once(self._publish_all(publisher, messages))

    def _publish_all(
        self, publisher: Broker | Enlisted, messages: Sequence[Message[R]]
    ) -> Coroutine[Any, Any, list[str]]:
        """Make the envelopes at once, and return the coroutine that sends them."""
        sent = self._envelopes.watch()
        return self._publish(publisher, self._envelopes.of_messages(messages, self, sent), sent)

    def _publish(
        self, publisher: Broker | Enlisted, envelopes: Sequence[Envelope], sent: Sent | None
    ) -> Coroutine[Any, Any, list[str]]:
        return publish(
            publisher,
            envelopes,
            self._events,
            sent=sent,
            is_same=partial(self._was_sent_as, publisher) if self._former_names else None,
            # Nobody makes room while a transaction holds the database.
            may_wait=self._connection is None,
        )

    async def _was_sent_as(self, publisher: Broker | Enlisted, envelope: Envelope) -> bool:
        """Whether the task with this id was sent under a former name of this task."""
        (state,) = await publisher.states(envelope.queue, [envelope.id])
        return state is not None and state.task_name in self._former_names
