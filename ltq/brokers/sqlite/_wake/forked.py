"""What a forked process lets go of what its parent has open."""

import os
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """Something with descriptors that a forked process must not keep."""

    def forget(self) -> None:
        """Close what is the parent's, in the child, and leave what others find."""
        ...


_all: WeakSet[Forgetful] = WeakSet()


def forget_in_child(one: Forgetful) -> None:
    """Call its `forget` in each process that is forked while somebody holds it."""
    _all.add(one)


def _after_in_child() -> None:
    for one in tuple(_all):
        one.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
