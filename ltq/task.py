"""A task: a function that can be sent."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Generic, cast

from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq._aio.callables import is_awaitable
from ltq._aio.portal import open_portal
from ltq._codec.call import CallCodec
from ltq._sender.envelopes import EnvelopeMaker
from ltq._sender.prepared import EncodedCall, PreparedMessage
from ltq._sender.publish import CountingPublisher, publish
from ltq.broker import BrokerSource
from ltq.events import EventStream
from ltq.handle import Handle
from ltq.message import Envelope, Message
from ltq.names import new_id
from ltq.options import SendOptions, TaskConfig, parse_send_options
from ltq.sync import SyncHandle

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)


class SendHook:
    """What is called with each message before it is sent. Every middleware is one."""

    options: ClassVar[frozenset[str]] = frozenset()
    """The task options that it implements."""

    def on_send(self, message: Message[Any], task: "Task[..., Any]") -> None:
        """Called for each message before it goes to the broker, in the process that sends.

        What it writes to `message.ctx` travels with the message, as JSON, to the worker. It is a
        plain method and must not block. If it raises an `LtqError`, `send` raises that and sends
        nothing. Any other error is logged, what the hook wrote is dropped, and the message is sent.
        """


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

        Raises `InvalidArgumentsError`.
        """
        options = self._envelopes.options
        return PreparedMessage(
            args=args,
            kwargs=kwargs,
            task_name=self.name,
            id=options.id or new_id(),
            options=options,
            encoded=EncodedCall(args, kwargs, self._codec.encode_call(args, kwargs)),
            task=self,
        )

    async def send(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Let a worker run the task with these arguments.

        Raises `InvalidArgumentsError` (nothing was sent), `QueueFullError` (`max_pending` is
        reached), `ConfigurationError` (another task has this id, or `with_options` set a
        `max_tries` that no middleware of the worker implements), `BrokerError` (the broker did
        not answer in time), and any `LtqError` that `Middleware.on_send` raises.
        """
        envelope = self._envelopes.of_call(args, kwargs, self)
        full_timeout = self._envelopes.full_timeout
        broker = self._source.broker
        ids = await publish(
            broker,
            [envelope],
            self._events,
            full_timeout=full_timeout,
            is_same=self._was_sent_as if self._former_names else None,
        )
        return self.handle(ids[0])

    async def send_many(self, messages: Sequence[Message[R]]) -> list[Handle[R]]:
        """Send messages of this task in as few calls as possible; return handles in their order.

        Raises what `send` raises. All arguments are checked before anything is sent. With
        `max_pending`, the messages that still fit are sent before `QueueFullError` is raised.
        """
        ids = await self._publish_all(self._source.broker, messages)
        return [self.handle(task_id) for task_id in ids]

    def send_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[R]:
        """`send` for code without an event loop: a Django view, a script, a plain `def` task.

        It works from any thread, also after a fork; `on_send` of the middleware runs in the
        caller's thread. Raises what `send` raises, and `ConfigurationError` within an event loop,
        because it would block that loop.
        """
        open_portal(f"await {self.name}.send(...)")  # before the arguments are checked
        return self.send_many_sync([self.message(*args, **kwargs)])[0]

    def send_many_sync(self, messages: Sequence[Message[R]]) -> list[SyncHandle[R]]:
        """`send_many` for code without an event loop. Raises what `send_sync` raises."""
        portal = open_portal(f"await {self.name}.send_many(...)")
        broker = self._source.broker
        ids = portal.call(broker, self._publish_all(broker, messages))
        return [self.handle_sync(task_id) for task_id in ids]

    def with_options(self, /, **options: Unpack[SendOptions]) -> "Task[P, R]":
        """The same task, with options for tasks that are sent through it.

            await fetch.with_options(delay=30, priority="high").send("python/cpython")

        Raises `ConfigurationError` for an unknown or wrong option.
        """
        merged: SendOptions = {**self._send_options, **options}
        other = copy.copy(self)
        envelopes = self._envelopes.with_options(parse_send_options(merged))
        vars(other).update(_send_options=merged, _envelopes=envelopes)
        return other

    def handle(self, id: str) -> Handle[R]:  # noqa: A002  the field's name for it
        """The handle of a task that was sent by any process. The broker is not called yet."""
        return Handle(
            self._source,
            id,
            task_name=self.name,
            queue=self.queue,
            decode=self._codec.decode_result,
            result_ttl=self.result_ttl,
        )

    def handle_sync(self, id: str) -> SyncHandle[R]:  # noqa: A002  the field's name for it
        """`handle` for code without an event loop."""
        return SyncHandle(self._source, self.handle(id))

    def _publish_all(
        self, broker: CountingPublisher, messages: Sequence[Message[R]]
    ) -> Coroutine[Any, Any, list[str]]:
        """Make the envelopes at once, and return the coroutine that sends them."""
        envelopes = self._envelopes.of_messages(messages, self)
        full_timeout = self._envelopes.longest_full_timeout(messages)
        return publish(
            broker,
            envelopes,
            self._events,
            full_timeout=full_timeout,
            is_same=self._was_sent_as if self._former_names else None,
        )

    async def _was_sent_as(self, envelope: Envelope) -> bool:
        """Whether the task with this id was sent under a former name of this task."""
        (state,) = await self._source.broker.states(envelope.queue, [envelope.id])
        return state is not None and state.task_name in self._former_names
