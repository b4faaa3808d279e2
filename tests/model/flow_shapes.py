"""Workflows of any shape, and what they come to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

import ltq
from ltq import Node, Worker
from ltq.broker import Broker
from ltq.message import Delivery

Op = tuple[str, int, int]
"""What is added to a workflow, and which of its nodes that needs."""

OPS = ("numbers", "span", "plus", "total", "map", "map_far", "map_span", "join", "join")


class Tasks:
    """Two workers, and what their tasks do."""

    def __init__(self, broker: Broker, near: str, far: str) -> None:
        self.near, self.far = Worker(near, broker=broker), Worker(far, broker=broker)
        functions: list[Callable[..., Any]] = [_numbers, _span, _plus, _total]
        self._functions: dict[str, Callable[..., Any]] = {}
        for worker in (self.near, self.far):
            for function in functions:
                name = function.__name__.lstrip("_")
                task = worker.task(name=name, result_ttl=3600)(function)
                self._functions[task.name] = function

    @property
    def queues(self) -> list[str]:
        """Those of all tasks."""
        return [*self._functions]

    def result(self, delivery: Delivery) -> bytes:
        """What the task of a delivery returns."""
        args, kwargs = msgspec.json.decode(delivery.body)
        return msgspec.json.encode(self._functions[delivery.task_name](*args, **kwargs))

    def of(self, name: str, *, far: bool = False) -> Any:
        """A task by its name."""
        worker = self.far if far else self.near
        return worker.tasks[f"{worker.name}:{name}"]


def _numbers(count: int) -> list[int]:
    return list(range(count))


def _span(given: Any) -> list[int]:
    return list(range(_sum(given) % 4))


def _plus(given: Any) -> int:
    return _sum(given) + 1


def _total(given: Any) -> int:
    return _sum(given)


def _sum(given: Any) -> int:
    return given if isinstance(given, int) else sum(map(_sum, given))


@dataclass(frozen=True)
class Shape:
    """A workflow, and what its last node comes to."""

    node: Node[Any]
    value: Any


def build(tasks: Tasks, first: int, ops: Sequence[Op]) -> Shape:
    """A workflow whose first node gives so many numbers. Its last node needs what comes last."""
    pool: list[Shape] = [Shape(tasks.of("numbers").step(first), _numbers(first))]
    for op in ops:
        pool.append(_added(tasks, pool, op))
    some = pool[-3:]
    node = some[-1].node if len(some) == 1 else ltq.join(*[one.node for one in some])
    return Shape(node, some[-1].value if len(some) == 1 else [one.value for one in some])


def _added(tasks: Tasks, pool: Sequence[Shape], op: Op) -> Shape:
    name, first, second = op
    one, other = pool[first % len(pool)], pool[second % len(pool)]
    far = bool(second % 2)
    if name == "numbers":
        return Shape(tasks.of("numbers", far=far).step(second % 3), _numbers(second % 3))
    if name == "join":
        return Shape(ltq.join(one.node, other.node), [one.value, other.value])
    if name in ("span", "plus", "total"):
        call: Any = {"span": _span, "plus": _plus, "total": _total}[name]
        return Shape(one.node.then(tasks.of(name, far=far)), call(one.value))
    lists = [shape for shape in pool if isinstance(shape.value, list)]
    given = lists[first % len(lists)]
    node: Any = given.node
    item = "span" if name == "map_span" else "plus"
    call = _span if name == "map_span" else _plus
    task = tasks.of(item, far=name == "map_far")
    return Shape(node.map(task), [call(value) for value in given.value])
