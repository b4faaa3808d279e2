"""A task: a function that can be sent."""

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, cast

import msgspec
from typing_extensions import ParamSpec, TypeVar, Unpack

from ltq._names import new_id
from ltq.broker import BrokerSource
from ltq.codec import CallCodec
from ltq.errors import ConfigurationError, InvalidArgumentsError, QueueFullError
from ltq.handle import Handle
from ltq.message import Envelope, Message, Published, lane_of
from ltq.options import Dispatch, Policy, SendOptions, parse_send_options

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)

_encode_json = msgspec.json.Encoder().encode


class Task(Generic[P, R]):
    """A function that can be sent to workers: made by `@worker.task(...)`.

    Calling it runs the function here and now; `send` lets a worker run it.
    """

    def __init__(
        self,
        source: BrokerSource,
        fn: Callable[P, Awaitable[R]] | Callable[P, R],
        *,
        name: str,
        options: Mapping[str, Any],
        policy: Policy,
        codec: CallCodec,
        result_ttl: float,
    ) -> None:
        self.name = name
        self.fn = fn
        self.options = options
        """The options as they were declared."""
        self.policy = policy
        """The options checked, in plain units."""
        self.codec = codec
        self.queue = policy.queue or name
        self.lane = lane_of(self.queue, name, limited=policy.max_rate is not None)
        self.result_ttl = result_ttl if policy.result_ttl is None else policy.result_ttl
        self.is_async = inspect.iscoroutinefunction(fn)
        self._source = source
        self._send_options: Mapping[str, Any] = {}
        self._dispatch = Dispatch()
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
        )

    async def send(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Let a worker run the task with these arguments.

        Raises `InvalidArgumentsError` (nothing was sent), `QueueFullError` (`max_pending`
        reached), `ConfigurationError` (another task has this id), `BrokerError` (the broker did
        not answer in time).
        """
        body = self.codec.encode_call(args, kwargs)
        dispatch = self._dispatch
        envelope = self._envelope(dispatch.id or new_id(), body, dispatch, b"")
        (answer,) = await self._source.broker.publish([envelope])
        self._refuse([answer], [envelope])
        return self.handle(envelope.id)

    async def send_many(self, messages: Sequence[Message[R]]) -> list[Handle[R]]:
        """Send messages of this task in as few calls as may be; handles come in their order.

        Raises what `send` raises. All arguments are checked before anything is sent; with
        `max_pending` those messages that still fit are sent before `QueueFullError`.
        """
        envelopes = [self._envelope_of(message) for message in messages]
        answers = await self._source.broker.publish(envelopes)
        self._refuse(answers, envelopes)
        return [self.handle(envelope.id) for envelope in envelopes]

    def with_options(self, **options: Unpack[SendOptions]) -> "Task[P, R]":
        """The same task, with options for what is sent through it.

            await fetch.with_options(delay=30, priority="high").send("python/cpython")

        Raises `ConfigurationError` for an unknown or wrong option.
        """
        merged = {**self._send_options, **options}
        other = copy.copy(self)
        other.__dict__.update(_send_options=merged, _dispatch=parse_send_options(merged))
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

    def _refuse(self, answers: Sequence[Published], envelopes: Sequence[Envelope]) -> None:
        if Published.FULL in answers:
            raise QueueFullError(self.queue, self.policy.max_pending or 0)
        if Published.TAKEN in answers:
            taken = envelopes[answers.index(Published.TAKEN)].id
            raise ConfigurationError(
                f"id {taken!r} is another task's, not {self.name}'s: ids are unique within a worker"
            )

    def _envelope_of(self, message: Message[R]) -> Envelope:
        if message.task_name != self.name:
            raise InvalidArgumentsError(
                f"{self.name}: a message of {message.task_name!r} cannot be sent through this task"
            )
        body = message.body
        if body is None:
            body = self.codec.encode_call(message.args, message.kwargs)
        ctx = _encode_json(message.ctx) if message.ctx else b""
        return self._envelope(message.id, body, message.options, ctx)

    def _envelope(self, task_id: str, body: bytes, dispatch: Dispatch, ctx: bytes) -> Envelope:
        policy = self.policy
        return Envelope(
            id=task_id,
            queue=self.queue,
            lane=self.lane,
            task_name=self.name,
            body=body,
            priority=policy.priority if dispatch.priority is None else dispatch.priority,
            delay=dispatch.delay,
            eta=dispatch.eta,
            timeout=policy.timeout if dispatch.timeout is None else dispatch.timeout,
            max_tries=dispatch.max_tries,
            result_ttl=dispatch.result_ttl,
            max_pending=policy.max_pending,
            max_deliveries=policy.max_deliveries,
            ctx=ctx,
        )
