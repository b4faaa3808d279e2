"""Making envelopes: encoded arguments with their options, and with what middleware adds."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from ltq._codec.call import CallCodec
from ltq._sender.prepared import PreparedMessage
from ltq.errors import ConfigurationError, InvalidArgumentsError, LtqError
from ltq.message import Envelope, Message, lane_of
from ltq.names import new_id
from ltq.options import SendConfig, TaskConfig

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)

logger = logging.getLogger("ltq.task")

_encode_json = msgspec.json.Encoder().encode


class Hook(Protocol[T_contra]):
    """What sending needs of a middleware."""

    @property
    def options(self) -> frozenset[str]:
        """The task options that it implements."""
        ...

    def on_send(self, message: Message[Any], task: T_contra) -> None:
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
        idle: Callable[..., None],
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

    def write_ctx(self, message: Message[Any], task: T) -> bytes:
        """The encoded `ctx` of a message, with what hooks add to it. The message is not changed.

        What a hook wrote before it failed is dropped. Raises the `LtqError` of a hook.
        """
        ctx = _encode_json(message.ctx) if message.ctx else b""
        hooks = self.active()
        if not hooks:
            return ctx
        seen = _with_ctx(message, ctx)
        for hook in hooks:
            try:
                hook.on_send(seen, task)
                ctx = _encode_json(seen.ctx) if seen.ctx else b""
            except LtqError:
                raise
            except Exception:  # a hook that only observes must not prevent a send
                logger.exception("%s %s: on_send of %r failed", message.task_name, message.id, hook)
                seen = _with_ctx(message, ctx)
        return ctx

    def implement(self, option: str) -> bool:
        """Whether any middleware implements a task option."""
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
        self.full_timeout = _full_timeout(config, options)
        """Seconds that `send` waits for room in a full queue."""
        self._name = name
        self._config = config
        self._codec = codec
        self._hooks = hooks
        self._template = _template(name, config, options)
        self.is_unique = self._template.unique_for > 0
        """Whether calls with the same arguments count as one for a time (`unique_for`)."""

    def with_options(self, options: SendConfig) -> "EnvelopeMaker[T]":
        """A maker of envelopes of the same task with other options."""
        return EnvelopeMaker(self._name, self._config, self._codec, self._hooks, options)

    def of_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], task: T) -> Envelope:
        """The envelope of a call.

        Raises `InvalidArgumentsError`, `ConfigurationError` for a `max_tries` that nothing
        implements, and the errors of LTQ that an `on_send` raises.
        """
        body = self._codec.encode_call(args, kwargs)
        fingerprint = self._codec.fingerprint(body) if self.is_unique else ""
        task_id, ctx = self.options.id or new_id(), b""
        if self._hooks.active():
            message = Message(args, kwargs, self._name, {}, task_id, self.options)
            ctx = self._hooks.write_ctx(message, task)
        return self.fill(task_id, body, fingerprint, ctx)

    def of_message(self, message: Message[Any], task: T) -> Envelope:
        """The envelope of a message. Raises what `of_call` raises."""
        return self.of_messages([message], task)[0]

    def of_messages(self, messages: Sequence[Message[Any]], task: T) -> list[Envelope]:
        """The envelopes of messages, in their order. Raises what `of_call` raises.

        All arguments are checked before the first hook is called.
        """
        bodies = [self._body(message) for message in messages]
        envelopes = []
        maker = self
        for message, body in zip(messages, bodies, strict=True):
            if message.options is not maker.options:
                maker = self.with_options(message.options)
            fingerprint = self._codec.fingerprint(body) if maker.is_unique else ""
            ctx = self._hooks.write_ctx(message, task)
            envelopes.append(maker.fill(message.id, body, fingerprint, ctx))
        return envelopes

    def fill(self, task_id: str, body: bytes, fingerprint: str, ctx: bytes) -> Envelope:
        """The envelope of a call that is already encoded.

        Raises `ConfigurationError` for a `max_tries` that no middleware implements.
        """
        template = self._template
        if template.max_tries is not None and not self._hooks.implement("max_tries"):
            raise ConfigurationError(
                f"{self._name} is sent with max_tries, "
                "but no middleware of its worker implements it"
            )
        return replace(template, id=task_id, body=body, ctx=ctx, fingerprint=fingerprint)

    def longest_full_timeout(self, messages: Sequence[Message[Any]]) -> float:
        """Seconds that `send_many` waits for room: the longest time that a message allows."""
        return max((_full_timeout(self._config, one.options) for one in messages), default=0.0)

    def _body(self, message: Message[Any]) -> bytes:
        """The encoded arguments of a message."""
        if message.task_name != self._name:
            raise InvalidArgumentsError(
                f"{self._name}: a message of {message.task_name!r} cannot be sent through this task"
            )
        if isinstance(message, PreparedMessage) and (body := message.body) is not None:
            return body
        return self._codec.encode_call(message.args, message.kwargs)


def _template(name: str, config: TaskConfig, options: SendConfig) -> Envelope:
    """The envelope with all that is the same for the task and these send options."""
    queue = config.queue or name
    return Envelope(
        id="",
        queue=queue,
        lane=lane_of(queue, name, limited=config.is_limited),
        task_name=name,
        body=b"",
        priority=config.priority if options.priority is None else options.priority,
        delay=options.delay,
        eta=options.eta,
        timeout=config.timeout if options.timeout is None else options.timeout,
        max_tries=options.max_tries,
        result_ttl=options.result_ttl,
        max_pending=config.max_pending,
        max_deliveries=config.max_deliveries,
        unique_for=options.unique_for or config.unique_for or 0.0,
        has_new_id=options.id is None,
    )


def _full_timeout(config: TaskConfig, options: SendConfig) -> float:
    """Seconds to wait for room in a full queue."""
    if (options.on_full or config.on_full) == "raise":
        return 0.0
    return config.full_timeout if options.full_timeout is None else options.full_timeout


def _with_ctx(message: Message[Any], ctx: bytes) -> Message[Any]:
    return replace(message, ctx=msgspec.json.decode(ctx) if ctx else {})
