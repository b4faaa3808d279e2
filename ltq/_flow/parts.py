"""What a node needs of a task, and how nodes hang together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ltq._codec.call import CallCodec
from ltq._flow.compose import items_of
from ltq._flow.values import FORMATS
from ltq._sender.envelopes import EnvelopeMaker
from ltq.broker import BrokerSource
from ltq.errors import ConfigurationError, DecodeError
from ltq.events import EventStream

JOIN = "ltq:join"
"""The name of the task of a join, which no worker runs."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeTask:
    """What a node needs of the task that it runs."""

    task: Any
    name: str
    queue: str
    source: BrokerSource
    codec: CallCodec
    envelopes: EnvelopeMaker[Any]
    events: EventStream
    result_ttl: float
    timeout: float | None


class Kind(Enum):
    """What a node does."""

    CALL = auto()
    MAP = auto()
    JOIN = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A node without its options."""

    kind: Kind
    task: NodeTask | None
    """None for a join."""
    needs: "tuple[Part, ...]" = ()
    args: Sequence[Any] = ()
    """The arguments of its call, but for the one that it waits for."""
    kwargs: "Mapping[str, Any] | None" = None
    body: bytes = b""
    """The same, encoded."""
    depth: int = 0
    """How many joins are one in the other in its result, at most."""

    @property
    def is_held(self) -> bool:
        """Whether it waits for others."""
        return bool(self.needs)

    @property
    def queue(self) -> str:
        """The queue of its task."""
        return self._home.queue

    @property
    def task_name(self) -> str:
        """The name of its task."""
        return JOIN if self.task is None else self.task.name

    @property
    def serializer(self) -> str:
        """What its result is encoded with."""
        return self._home.codec.serializer

    @property
    def result_ttl(self) -> float:
        """Seconds that its final state is kept, by default."""
        return self._home.result_ttl

    @property
    def home(self) -> NodeTask:
        """The task beside which it is kept: its own, or that of the first node of a join."""
        return self._home

    def decode(self, data: bytes, serializer: str) -> Any:
        """Its result from the bytes of it. Raises `DecodeError`."""
        if self.kind is Kind.CALL and self.task is not None:
            return self.task.codec.decode_result(data, serializer)
        try:
            items = items_of(data, serializer) if data else []
        except DecodeError as error:
            raise DecodeError(f"{self.task_name}: its result {error}") from None
        if self.task is not None:
            return [self.task.codec.decode_result(one, serializer) for one in items]
        return tuple(
            part.decode(one, serializer) for part, one in zip(self.needs, items, strict=True)
        )

    @property
    def _home(self) -> NodeTask:
        part = self
        while part.task is None:
            part = part.needs[0]
        return part.task


def ordered(last: Part) -> list[Part]:
    """All nodes that one needs, each once and behind those that it needs itself; it is the last.

    Raises `ConfigurationError` for a cycle.
    """
    found: dict[int, Part] = {}
    begun: set[int] = set()
    stack: list[tuple[Part, Iterator[Part]]] = [(last, iter(last.needs))]
    begun.add(id(last))
    while stack:
        part, needs = stack[-1]
        need = next(needs, None)
        if need is None:
            stack.pop()
            found[id(part)] = part
        elif id(need) not in begun:
            begun.add(id(need))
            stack.append((need, iter(need.needs)))
        elif id(need) not in found:
            raise ConfigurationError(f"{part.task_name} needs its own result: a cycle")
    return [*found.values()]


def check_serializer(part: Part, needs: Sequence[Part]) -> None:
    """Raise `ConfigurationError` for results that cannot be passed on as bytes."""
    names = {one.serializer for one in (part, *needs)}
    if len(names) > 1 or not names <= FORMATS.keys():
        raise ConfigurationError(
            f"{part.task_name} cannot take these results: all tasks of a workflow need the same "
            f"serializer, json or msgpack, not {', '.join(sorted(names))}"
        )
