"""A task: a function that can be sent."""

import asyncio
import copy
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, cast

import msgspec
from msgspec.structs import replace
from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq._aio.portal import open_portal
from ltq._codec.call import CallCodec
from ltq._enqueue import enqueue
from ltq._names import new_id
from ltq.broker import Broker, BrokerSource
from ltq.errors import ConfigurationError, InvalidArgumentsError, LtqError
from ltq.events import EventStream
from ltq.handle import Handle
from ltq.message import Envelope, Message, Published, lane_of
from ltq.options import SendConfig, SendOptions, TaskConfig, parse_send_options
from ltq.sync import SyncHandle

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)

logger: logging.Logger = logging.getLogger("ltq.task")

_encode_json = msgspec.json.Encoder().encode


class SendHook:
    """What may look at each message before it is sent: every middleware may."""

    options: ClassVar[frozenset[str]] = frozenset()
    """Options that it implements."""

    def on_send(self, message: Message[Any], task: "Task[..., Any]") -> None:
        """Called in the process that sends, for each message, before it goes to the broker.

        What it writes to `message.ctx` travels with the message, as JSON, and is in
        `message.ctx` where the message runs. A plain method: it must not wait for anything. An
        `LtqError` it raises is raised by `send`, and nothing is sent; any other error is logged,
        what the hook wrote is dropped, and the message is sent.
        """


class TaskSource(BrokerSource, Protocol):
    """What a task has to know of its worker."""

    @property
    def middlewares(self) -> Sequence[SendHook]:
        """The worker's middleware now."""
        ...


class _Hooks:
    """The middleware with an `on_send` of its own; looked for again when the list has changed."""

    __slots__ = ("_found", "_known", "_source")

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._known: Sequence[SendHook] = ()
        self._found: Sequence[SendHook] = ()

    def find(self) -> Sequence[SendHook]:
        """Those to call, in their order."""
        middlewares = self._source.middlewares
        if self._known != middlewares:
            self._found = [one for one in middlewares if type(one).on_send is not SendHook.on_send]
            self._known = list(middlewares)
        return self._found

    def need(self, option: str, task: str) -> None:
        """Raise `ConfigurationError` for an option that nothing implements."""
        if not any(option in one.options for one in self._source.middlewares):
            raise ConfigurationError(
                f"{task} is sent with {option}, but no middleware of its worker implements it"
            )


class Task(Generic[P, R]):
    """A function that can be sent to workers: made by `@worker.task(...)`.

    Calling it runs the function here and now; `send` lets a worker run it.
    """

    def __init__(
        self,
        source: TaskSource,
        fn: Callable[P, Awaitable[R]] | Callable[P, R],
        *,
        name: str,
        options: Mapping[str, Any],
        policy: TaskConfig,
        codec: CallCodec,
        result_ttl: float,
        events: EventStream,
    ) -> None:
        self.name = name
        self.fn = fn
        self.options = options
        """The options as they were declared."""
        self.policy = policy
        """The options checked, in plain units."""
        self.codec = codec
        self.queue: str = policy.queue or name
        self.lane: str = lane_of(self.queue, name, limited=policy.is_limited)
        self.result_ttl: float = result_ttl if policy.result_ttl is None else policy.result_ttl
        self.is_async: bool = inspect.iscoroutinefunction(fn)
        self._source: BrokerSource = source
        self._hooks = _Hooks(source)
        self._events = events
        self._send_options: Mapping[str, Any] = {}
        self._dispatch = SendConfig()
        self._template = self._template_of(self._dispatch)
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now; a plain `def` runs in a thread."""
        if self.is_async:
            coroutine = cast(Callable[P, Awaitable[R]], self.fn)
            return await coroutine(*args, **kwargs)
        return await asyncio.to_thread(cast(Callable[P, R], self.fn), *args, **kwargs)

    def message(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """A call to be sent later, by `send_many` or a scheduler. The arguments are checked now.

        Raises `InvalidArgumentsError`.
        """
        return Message(
            args=args,
            kwargs=kwargs,
            task_name=self.name,
            id=self._dispatch.id or new_id(),
            options=self._dispatch,
            body=self.codec.encode_call(args, kwargs),
            origin=self,
        )

    async def send(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Let a worker run the task with these arguments.

        Raises `InvalidArgumentsError` (nothing was sent), `QueueFullError` (`max_pending`
        reached), `ConfigurationError` (another task has this id, or `with_options` gave a
        `max_tries` that no middleware of the worker implements), `BrokerError` (the broker did
        not answer in time), and what `Middleware.on_send` raises of LTQ's errors.
        """
        body = self.codec.encode_call(args, kwargs)
        dispatch = self._dispatch
        task_id, ctx = dispatch.id or new_id(), b""
        if self._hooks.find():
            ctx = self._ctx_of(Message(args, kwargs, self.name, {}, task_id, dispatch, body=body))
        envelope = self._envelope(task_id, body, dispatch, ctx)
        (task_id,) = await enqueue(
            self._source.broker,
            [envelope],
            full_timeout=self._full_timeout(dispatch),
            answered=self._events.enqueued if self._events.is_heard else None,
        )
        return self.handle(task_id)

    async def send_many(self, messages: Sequence[Message[R]]) -> list[Handle[R]]:
        """Send messages of this task in as few calls as may be; handles come in their order.

        Raises what `send` raises. All arguments are checked before anything is sent; with
        `max_pending` those messages that still fit are sent before `QueueFullError`.
        """
        ids = await self._publish_all(self._source.broker, messages)
        return [self.handle(task_id) for task_id in ids]

    def send_sync(self, *args: P.args, **kwargs: P.kwargs) -> SyncHandle[R]:
        """`send` for code without an event loop: a Django view, a script, a plain `def` task.

        From any thread, also after a fork; `on_send` of the middleware runs in the caller's
        thread. Raises what `send` raises, and `ConfigurationError` where an event loop runs: it
        would be blocked.
        """
        open_portal(f"await {self.name}.send(...)")  # before the arguments are looked at
        return self.send_many_sync([self.message(*args, **kwargs)])[0]

    def send_many_sync(self, messages: Sequence[Message[R]]) -> list[SyncHandle[R]]:
        """`send_many` for code without an event loop. Raises what `send_sync` raises."""
        portal = open_portal(f"await {self.name}.send_many(...)")
        broker = self._source.broker
        ids = portal.call(broker, self._publish_all(broker, messages))
        return [self.handle_sync(task_id) for task_id in ids]

    def with_options(self, **options: Unpack[SendOptions]) -> "Task[P, R]":
        """The same task, with options for what is sent through it.

            await fetch.with_options(delay=30, priority="high").send("python/cpython")

        Raises `ConfigurationError` for an unknown or wrong option.
        """
        merged = {**self._send_options, **options}
        dispatch = parse_send_options(merged)
        template = self._template_of(dispatch)
        other = copy.copy(self)
        other.__dict__.update(_send_options=merged, _dispatch=dispatch, _template=template)
        return other

    def handle(self, id: str) -> Handle[R]:  # noqa: A002  the field's name for it
        """The handle of a task that was sent, from any process. Nothing is looked up yet."""
        return Handle(
            self._source,
            id,
            task_name=self.name,
            queue=self.queue,
            decode=self.codec.decode_result,
            result_ttl=self.result_ttl,
        )

    def handle_sync(self, id: str) -> SyncHandle[R]:  # noqa: A002  the field's name for it
        """`handle` for code without an event loop: of a task that was sent, from any process."""
        return SyncHandle(self._source, self.handle(id))

    def envelope_of(self, message: Message[Any], task_id: str) -> Envelope:
        """A message as it travels, under an id that was made for this very send: by a scheduler.

        Raises what `send` raises before anything is sent.
        """
        return self._envelope_of(replace(message, id=task_id))

    def sent(self, envelope: Envelope, published: Published) -> None:
        """Tell the worker's events what became of an envelope that a scheduler published."""
        if self._events.is_heard:
            self._events.enqueued([envelope], [published])

    def _publish_all(
        self, broker: Broker, messages: Sequence[Message[R]]
    ) -> Coroutine[Any, Any, list[str]]:
        """Check the messages here and now; the coroutine then sends them."""
        bodies = [self._body_of(message) for message in messages]
        envelopes = [self._envelope_of(*pair) for pair in zip(messages, bodies, strict=True)]
        return enqueue(
            broker,
            envelopes,
            full_timeout=max((self._full_timeout(m.options) for m in messages), default=0.0),
            answered=self._events.enqueued if self._events.is_heard else None,
        )

    def _full_timeout(self, dispatch: SendConfig) -> float:
        """Seconds to wait for room."""
        policy = self.policy
        if (dispatch.on_full or policy.on_full) == "raise":
            return 0.0
        return policy.full_timeout if dispatch.full_timeout is None else dispatch.full_timeout

    def _body_of(self, message: Message[R]) -> bytes:
        if message.task_name != self.name:
            raise InvalidArgumentsError(
                f"{self.name}: a message of {message.task_name!r} cannot be sent through this task"
            )
        if message.body is not None:
            return message.body
        return self.codec.encode_call(message.args, message.kwargs)

    def _envelope_of(self, message: Message[R], body: bytes | None = None) -> Envelope:
        if body is None:
            body = self._body_of(message)
        return self._envelope(message.id, body, message.options, self._ctx_of(message))

    def _ctx_of(self, message: Message[Any]) -> bytes:
        """The message's `ctx` as it travels, with what hooks add; the message stays as it is."""
        ctx = _encode_json(message.ctx) if message.ctx else b""
        hooks = self._hooks.find()
        if not hooks:
            return ctx
        sent = _with_ctx(message, ctx)
        for hook in hooks:
            try:
                hook.on_send(sent, self)
                ctx = _encode_json(sent.ctx) if sent.ctx else b""
            except LtqError:
                raise
            except Exception:  # what only watches must not keep a message from being sent
                logger.exception("%s %s: on_send of %r failed", self.name, message.id, hook)
                sent = _with_ctx(message, ctx)
        return ctx

    def _envelope(self, task_id: str, body: bytes, dispatch: SendConfig, ctx: bytes) -> Envelope:
        if dispatch.max_tries is not None:
            self._hooks.need("max_tries", self.name)
        template = self._template if dispatch is self._dispatch else self._template_of(dispatch)
        fingerprint = self.codec.fingerprint(body) if template.unique_for else ""
        return replace(template, id=task_id, body=body, ctx=ctx, fingerprint=fingerprint)

    def _template_of(self, dispatch: SendConfig) -> Envelope:
        """What the envelopes of all that is sent with these options have in common."""
        policy = self.policy
        return Envelope(
            id="",
            queue=self.queue,
            lane=self.lane,
            task_name=self.name,
            body=b"",
            priority=policy.priority if dispatch.priority is None else dispatch.priority,
            delay=dispatch.delay,
            eta=dispatch.eta,
            timeout=policy.timeout if dispatch.timeout is None else dispatch.timeout,
            max_tries=dispatch.max_tries,
            result_ttl=dispatch.result_ttl,
            max_pending=policy.max_pending,
            max_deliveries=policy.max_deliveries,
            unique_for=dispatch.unique_for or policy.unique_for or 0.0,
            has_new_id=dispatch.id is None,
        )


def _with_ctx(message: Message[Any], ctx: bytes) -> Message[Any]:
    return replace(message, ctx=msgspec.json.decode(ctx) if ctx else {})
