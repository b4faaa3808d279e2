"""A task as LTQ itself uses it, and the lanes of several. `Task` is the part that users see."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol

from msgspec.structs import replace
from typing_extensions import ParamSpec, TypeVar

from ltq._aio.callables import belongs_in_loop, name_of, yields, yields_in_loop
from ltq._codec.call import CallCodec
from ltq._display.values import short_repr
from ltq._sender.envelopes import EnvelopeMaker, SendHooks
from ltq._sender.sent import Sent
from ltq.broker import Broker, BrokerSource, ConsumerConfig
from ltq.errors import ConfigurationError
from ltq.events import EventStream
from ltq.message import Envelope, Message, Published, kind_of, lane_of, own_lane
from ltq.middleware._order import send_order
from ltq.names import check_name, namespace_of
from ltq.options import Limit, SendConfig, parse_task_options
from ltq.streams import StreamTask
from ltq.task import SendHook, Task

_MOST_LANES = 1000
"""Most lanes of shared queues that a worker waits for. Beyond that it finds some of their tasks
only when it looks by itself, seconds later."""

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)
T = TypeVar("T", default=Any)


class TaskSource(BrokerSource, Protocol):
    """What a task has to know about its worker."""

    @property
    def middlewares(self) -> Sequence[SendHook]:
        """The worker's middleware at this moment."""
        ...

    @property
    def result_ttl(self) -> float:
        """Seconds that final states are kept, unless the task itself says how long."""
        ...


def own_name(fn: object, options: Mapping[str, Any]) -> str:
    """The name of a task within its worker.

    Raises `ConfigurationError` for what cannot be a task, whatever its annotations are.
    """
    if isinstance(fn, classmethod):
        raise ConfigurationError(
            f"{fn!r} takes its class, which cannot be sent: make a task of a function, or of a "
            "@staticmethod"
        )
    if isinstance(fn, Task) and "name" not in options:
        raise ConfigurationError(f"{fn!r} is a task already: make another one of its `fn`")
    if not callable(fn):
        raise ConfigurationError(f"a task is made of one function, not of {short_repr(fn)}")
    name = options.get("name", name_of(fn))
    if name is None:
        raise ConfigurationError(f"{fn!r} has no name: give it one, @worker.task(name=...)")
    return check_name("task", name)


class DeclaredTask(Task[P, R], Generic[P, R]):
    """A task with all that other parts of LTQ need. Every task is one."""

    def __init__(
        self,
        source: TaskSource,
        fn: Callable[P, Awaitable[R]] | Callable[P, R],
        *,
        name: str,
        options: Mapping[str, Any],
        codec: CallCodec,
        events: EventStream,
    ) -> None:
        """`name` is the full name, "worker:function". Raises `ConfigurationError`."""
        config = parse_task_options({key: options[key] for key in options if key != "name"})
        self.name = name
        self.fn = fn
        self.is_async = yields_in_loop(fn) if yields(fn) else belongs_in_loop(fn)
        self.options = options
        self.config = config
        worker = namespace_of(name)
        self.names: tuple[str, ...] = (name, *(f"{worker}:{old}" for old in config.aliases))
        """Its full name, and those under which older messages were sent."""
        self.queue = config.queue or name
        self.lane: str = lane_of(self.queue, name, limited=config.is_limited)
        """The part of its queue in which it waits, see `lane_of`."""
        self.result_ttl = source.result_ttl if config.result_ttl is None else config.result_ttl
        kinds = [kind_of(name, codec.serializer) for name in self.names]
        self.kinds: Sequence[str] = list(dict.fromkeys([*self.names, *kinds]))
        """What it reads of messages with each name, see `kind_of`."""
        self._former_names = self.names[1:]
        self._source = source
        self._codec = codec
        self._events = events
        hooks: SendHooks[Task[..., Any]] = SendHooks(source, SendHook.on_send, send_order)
        self._envelopes = EnvelopeMaker(name, config, codec, hooks, SendConfig())
        self._send_options = {}
        self.__doc__ = fn.__doc__
        self.__wrapped__ = fn

    @classmethod
    def of(cls, task: Task[P, R]) -> "DeclaredTask[P, R]":
        """The same object, with its type. Raises `ConfigurationError` if LTQ did not make it."""
        if not isinstance(task, DeclaredTask):
            raise ConfigurationError(f"{task!r} was not made by @worker.task")
        return task

    @property
    def queues(self) -> list[str]:
        """Its queue, and those in which messages of its former names may wait."""
        return [self.queue, *self.names[1:]]

    @property
    def own_lanes(self) -> list[str]:
        """The lanes that only its messages wait in: those its limits are about."""
        own = [lane_of(self.queue, kind, limited=True) for kind in self.kinds]
        return [*own, *self.names[1:]]

    @property
    def lanes(self) -> list[str]:
        """The lanes to claim from."""
        # Both, whether or not the task is limited: another version of the code may differ.
        return [self.queue, *self.own_lanes]

    @property
    def broker(self) -> Broker:
        """The broker of its worker at this moment."""
        return self._source.broker

    @property
    def codec(self) -> CallCodec:
        """What encodes and decodes its arguments and results."""
        return self._codec

    def envelope(self, message: Message[Any], task_id: str, sent: Sent | None = None) -> Envelope:
        """The envelope of a message, with an id for this send. Raises what `send` raises."""
        return self._envelopes.of_message(replace(message, id=task_id), self, sent)

    def published(self, envelope: Envelope, answer: Published) -> None:
        """Tell event listeners what the broker did with an envelope that `send` did not send."""
        if self._events.is_heard:
            self._events.enqueued([envelope], [answer])


class DeclaredStream(DeclaredTask[P, int], StreamTask[P, T], Generic[P, T]):
    """A task whose function is a generator."""

    @staticmethod
    def is_made_of(fn: Callable[..., Any]) -> bool:
        """Whether a function is a generator."""
        return yields(fn)


class LanesOfTasks:
    """What a worker with these tasks serves."""

    def __init__(self, tasks: Iterable[DeclaredTask[..., Any]]) -> None:
        self._tasks = list(tasks)
        self.kinds: Sequence[str] = [kind for task in self._tasks for kind in task.kinds]
        """All kinds of its tasks."""
        shared = {task.queue: None for task in self._tasks if task.queue != task.name}
        self._shared: Sequence[str] = list(shared)
        self.all: Sequence[str] = self._lanes()
        """The lanes to claim from, each once: first those that are waited for in any case."""

    @property
    def announced(self) -> Sequence[str]:
        """The lanes of which a worker says that it serves them."""
        return ConsumerConfig(lanes=tuple(self.all), knows=frozenset(self.kinds)).announced

    @property
    def running_limited(self) -> list[str]:
        """The names of tasks of which only some may run at once."""
        limited = [task for task in self._tasks if task.config.max_running is not None]
        return [name for task in limited for name in task.names]

    def limits(self, *, with_rates: bool) -> Mapping[str, Limit]:
        """The limits of lanes. A rate counts only if a middleware implements it."""
        limits: dict[str, Limit] = {}
        for task in self._tasks:
            rate = task.config.max_rate if with_rates else None
            if rate is not None or task.config.max_running is not None:
                elsewhere = self._own_lanes(task.kinds)
                limit = Limit(rate, task.config.max_running)
                limits |= dict.fromkeys([*task.own_lanes, *elsewhere], limit)
        return limits

    def _lanes(self) -> list[str]:
        """Whether or not a task is limited or was sent to this queue: other versions may differ."""
        lanes = [lane for task in self._tasks for lane in task.lanes]
        if len(self._shared) * len(self.kinds) <= _MOST_LANES:
            lanes += self._own_lanes(self.kinds)
        return list(dict.fromkeys(lanes))

    def _own_lanes(self, kinds: Iterable[str]) -> list[str]:
        """The lanes of tasks of these kinds in all shared queues."""
        return [own_lane(queue, kind) for kind in kinds for queue in self._shared]
