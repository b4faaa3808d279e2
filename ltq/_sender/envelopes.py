"""Making envelopes: encoded arguments with their options, and with what middleware adds."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace

from ltq._codec.call import CallCodec
from ltq._display.values import short_repr
from ltq._sender.prepared import PreparedMessage
from ltq._sender.sent import Sent, SentCallback
from ltq.errors import ConfigurationError, InvalidArgumentsError, LtqError
from ltq.message import Envelope, Message, decode_ctx, encode_ctx, lane_of
from ltq.names import check_tag_count, new_id
from ltq.options import SendConfig, TaskConfig

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger("ltq.task")


class Hook(Protocol[T_contra]):
    """What sending needs of a middleware."""

    @property
    def options(self) -> frozenset[str]:
        """The task options that it implements."""
        ...

    def on_send(self, message: Message[Any], task: T_contra) -> SentCallback | None:
        """Called before the message is sent; may write to `message.ctx`."""
        ...


class HookSource(Protocol[T_co]):
    """What knows the middleware of a task's worker."""

    @property
    def middlewares(self) -> Sequence[T_co]:
        """The worker's middleware at this moment."""
        ...


class SendHooks(Generic[T]):
    """The `on_send` methods of a worker's middleware. The middleware may change at any time.

    `idle` is the `on_send` that does nothing: middleware that inherits it is not called. `order`
    puts middleware into the order in which it is called.
    """

    __slots__ = ("_active", "_idle", "_known", "_order", "_source")

    def __init__(
        self,
        source: HookSource[Hook[T]],
        idle: Callable[..., object],
        order: Callable[[Sequence[Hook[T]]], Sequence[Hook[T]]] = list,
    ) -> None:
        self._source = source
        self._idle = idle
        self._order = order
        self._known: Sequence[Hook[T]] = ()
        self._active: Sequence[Hook[T]] = ()

    def active(self) -> Sequence[Hook[T]]:
        """The middleware with an `on_send` of its own, in order."""
        middlewares = self._source.middlewares
        if self._known != middlewares:
            self._active = [
                one for one in self._order(middlewares) if type(one).on_send is not self._idle
            ]
            self._known = list(middlewares)
        return self._active

    def write_ctx(self, message: Message[Any], task: T, callbacks: list[SentCallback]) -> bytes:
        """The encoded `ctx` of a message, with what hooks add to it. The message is not changed.

        What hooks return is added to `callbacks`. What a hook wrote before it failed is dropped,
        and so is what of it cannot travel. Raises the `LtqError` of a hook, and
        `InvalidArgumentsError` for a message whose own `ctx` cannot.
        """
        ctx = _own_ctx(message)
        hooks = self.active()
        if not hooks:
            return ctx
        seen = _with_ctx(message, ctx)
        for hook in hooks:
            try:
                callback = hook.on_send(seen, task)
                ctx, wrong = encode_ctx(seen.ctx)
                if wrong:
                    text = "%s %s: what on_send of %r wrote is left out: %s"
                    logger.warning(text, message.task_name, message.id, hook, wrong)
                    seen = _with_ctx(message, ctx)
                if callable(callback):
                    callbacks.append(callback)
            except LtqError:
                raise
            except Exception:  # a hook that only observes must not prevent a send
                logger.exception("%s %s: on_send of %r failed", message.task_name, message.id, hook)
                seen = _with_ctx(message, ctx)
        return ctx

    def implements(self, option: str) -> bool:
        """Whether any of the middleware implements a task option."""
        return any(option in one.options for one in self._source.middlewares)


class EnvelopeMaker(Generic[T]):
    """Makes the envelopes of one task that are sent with the same options.

    `T` is the type of the task that hooks are called with.
    """

    def __init__(
        self,
        name: str,
        config: TaskConfig,
        codec: CallCodec,
        hooks: SendHooks[T],
        options: SendConfig,
    ) -> None:
        self.options = options
        self._name = name
        self._config = config
        self._codec = codec
        self._hooks = hooks
        self._template = _template(name, config, options, codec.serializer)
        self.is_unique = self._template.unique_for > 0
        """Whether calls with the same arguments count as one for a time (`unique_for`)."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of what is sent: those of the task, then those of the options."""
        return self._template.tags

    def with_options(self, options: SendConfig) -> "EnvelopeMaker[T]":
        """A maker of envelopes of the same task with other options."""
        return EnvelopeMaker(self._name, self._config, self._codec, self._hooks, options)

    def watch(self) -> Sent | None:
        """What notes who wants to know what becomes of a message; None if nobody sees it."""
        return Sent() if self._hooks.active() else None

    def of_call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], task: T, sent: Sent | None = None
    ) -> Envelope:
        """The envelope of a call. Hooks that want to know what becomes of it are noted in `sent`.

        Raises `InvalidArgumentsError`, `ConfigurationError` for a `max_tries` that nothing
        implements, and the errors of LTQ that an `on_send` raises.
        """
        body = self._codec.encode_call(args, kwargs)
        fingerprint = self._codec.fingerprint(body) if self.is_unique else ""
        task_id = self.options.id or new_id()
        if not self._hooks.active():
            return self.fill(task_id, body, fingerprint, b"")
        callbacks: list[SentCallback] = []
        message = Message(args, kwargs, self._name, {}, task_id, self.options, tags=self.tags)
        ctx = self._hooks.write_ctx(message, task, callbacks)
        envelope = self.fill(task_id, body, fingerprint, ctx)
        if callbacks and sent is not None:
            sent.add(envelope, callbacks)
        return envelope

    def of_node(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task: T,
        *,
        task_id: str,
        body: bytes,
        place: Callable[[bytes], bytes] | None,
        runs: bool = True,
        sent: Sent | None = None,
    ) -> Envelope:
        """The envelope of a node of a workflow, with the `body` of its call.

        `place` adds to its `ctx` where it is in the workflow. Hooks see the arguments that are
        known, unless nothing `runs`. Neither `max_pending` nor `unique_for` applies. Raises what
        `of_call` raises.
        """
        ctx, callbacks = b"", list[SentCallback]()
        if runs and self._hooks.active():
            message = Message(
                tuple(args), kwargs, self._name, {}, task_id, self.options, tags=self.tags
            )
            ctx = self._hooks.write_ctx(message, task, callbacks)
        filled = self.fill(task_id, body, "", ctx if place is None else place(ctx))
        envelope = replace(filled, max_pending=None, unique_for=0.0, has_new_id=False)
        if callbacks and sent is not None:
            sent.add(envelope, callbacks)
        return envelope

    def of_message(self, message: Message[Any], task: T, sent: Sent | None = None) -> Envelope:
        """The envelope of a message. Raises what `of_call` raises."""
        return self.of_messages([message], task, sent)[0]

    def of_messages(
        self, messages: Sequence[Message[Any]], task: T, sent: Sent | None = None
    ) -> list[Envelope]:
        """The envelopes of messages, in their order. Raises what `of_call` raises.

        Options of the maker hold for each message that does not say others itself. All arguments
        are checked before the first hook is called.
        """
        messages = self._listed(messages)
        bodies = [self._body(message) for message in messages]
        self._check_ids(messages)
        envelopes = []
        maker, own, is_seen = self, self.options, bool(self._hooks.active())
        callbacks: list[SentCallback] = []
        for message, body in zip(messages, bodies, strict=True):
            if message.options is not own:
                own = message.options
                maker = self.with_options(own.over(self.options))
            if maker.options is not own:
                task_id = message.id if own.id else self.options.id or message.id
                message = replace(message, options=maker.options, id=task_id, tags=maker.tags)
            fingerprint = self._codec.fingerprint(body) if maker.is_unique else ""
            ctx = b""
            if message.ctx or is_seen:
                ctx = self._hooks.write_ctx(message, task, callbacks)
            envelope = maker.fill(message.id, body, fingerprint, ctx)
            if callbacks:
                if sent is not None:
                    sent.add(envelope, callbacks)
                callbacks = []
            envelopes.append(envelope)
        return envelopes

    def _check_ids(self, messages: Sequence[Message[Any]]) -> None:
        """Raise `ConfigurationError` if several messages would get the id of this maker."""
        if self.options.id is None:
            return
        without = sum(message.options.id is None for message in messages)
        if without > 1:
            raise ConfigurationError(
                f"id={self.options.id!r} is not allowed for {without} messages: give each one its "
                "own, task.with_options(id=...).message(...)"
            )

    def fill(self, task_id: str, body: bytes, fingerprint: str, ctx: bytes) -> Envelope:
        """The envelope of a call that is already encoded.

        Raises `ConfigurationError` for a `max_tries` that no middleware implements.
        """
        template = self._template
        if template.max_tries is not None and not self._hooks.implements("max_tries"):
            raise ConfigurationError(
                f"{self._name} is sent with max_tries, "
                "but no middleware of its worker implements it"
            )
        return replace(template, id=task_id, body=body, ctx=ctx, fingerprint=fingerprint)

    def _listed(self, messages: object) -> list[Message[Any]]:
        """The messages as a list. Raises `InvalidArgumentsError` for anything else."""
        if not isinstance(messages, Iterable):
            raise InvalidArgumentsError(
                f"{self._name}: {short_repr(messages)} cannot be sent: give a list of messages"
            )
        return list(messages)

    def _body(self, message: object) -> bytes:
        """The encoded arguments of a message."""
        if not isinstance(message, Message):
            raise InvalidArgumentsError(
                f"{self._name}: {short_repr(message)} cannot be sent: a message is made by "
                "task.message(...)"
            )
        if message.task_name != self._name:
            raise InvalidArgumentsError(
                f"{self._name}: a message of {message.task_name!r} cannot be sent through this task"
            )
        if isinstance(message, PreparedMessage) and (body := message.body) is not None:
            return body
        return self._codec.encode_call(message.args, message.kwargs)


def _template(name: str, config: TaskConfig, options: SendConfig, serializer: str) -> Envelope:
    """The envelope with all that is the same for the task and these send options.

    How the task runs is for the worker that runs it: of that, only what the send says travels.
    """
    queue = config.queue or name
    tags = config.tags
    if options.tags:
        tags = check_tag_count(tuple(dict.fromkeys(config.tags + options.tags)))
    return Envelope(
        id="",
        queue=queue,
        lane=lane_of(queue, name, limited=config.is_limited),
        task_name=name,
        body=b"",
        serializer=serializer,
        priority=config.priority if options.priority is None else options.priority,
        delay=options.delay or 0.0,
        eta=options.eta,
        timeout=options.timeout,
        max_tries=options.max_tries,
        result_ttl=options.result_ttl,
        max_pending=config.max_pending,
        on_full=options.on_full or config.on_full,
        full_timeout=config.full_timeout if options.full_timeout is None else options.full_timeout,
        max_deliveries=None,
        unique_for=options.unique_for or config.unique_for or 0.0,
        has_new_id=options.id is None,
        tags=tags,
        keep_body=config.keep_body if options.keep_body is None else options.keep_body,
        max_items=options.max_items,
    )


def _own_ctx(message: Message[Any]) -> bytes:
    """The encoded `ctx` that a message has by itself."""
    if not message.ctx:
        return b""
    ctx, wrong = encode_ctx(message.ctx)
    if wrong:
        raise InvalidArgumentsError(f"{message.task_name}: {wrong}")
    return ctx


def _with_ctx(message: Message[Any], ctx: bytes) -> Message[Any]:
    return replace(message, ctx=decode_ctx(ctx) if ctx else {})
