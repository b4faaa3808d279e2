"""Nodes that need several others."""

from typing import Any, overload

from typing_extensions import TypeVar

from ltq.workflow.node import Node, _join_of, _part_of

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
R = TypeVar("R")


@overload
def join(n1: Node[A], /) -> Node[tuple[A]]: ...
@overload
def join(n1: Node[A], n2: Node[B], /) -> Node[tuple[A, B]]: ...
@overload
def join(n1: Node[A], n2: Node[B], n3: Node[C], /) -> Node[tuple[A, B, C]]: ...
@overload
def join(n1: Node[A], n2: Node[B], n3: Node[C], n4: Node[D], /) -> Node[tuple[A, B, C, D]]: ...
@overload
def join(
    n1: Node[A], n2: Node[B], n3: Node[C], n4: Node[D], n5: Node[E], /
) -> Node[tuple[A, B, C, D, E]]: ...
@overload
def join(n1: Node[R], /, *nodes: Node[R]) -> Node[tuple[R, ...]]: ...
def join(*nodes: Node[Any]) -> Node[Any]:
    """A node whose result is the tuple of the results of these, in their order.

    It runs nothing. Raises `InvalidArgumentsError` for what is no node, for more than 100 000 nodes
    and for more than 100 joins one in the other, and `ConfigurationError` if their tasks have
    different serializers.
    """
    return _join_of([_part_of(node) for node in nodes])
