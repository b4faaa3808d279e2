"""What the management API answers, as far as it is judged here.

Versions differ in what they tell: all that may be missing has a default.
"""

from typing import Any

import msgspec


class Overview(msgspec.Struct, frozen=True):
    """The whole server."""

    cluster_name: str = ""


class Node(msgspec.Struct, frozen=True):
    """One node of it."""

    name: str = "?"
    running: bool = True
    mem_alarm: bool = False
    disk_free_alarm: bool = False
    partitions: list[str] = []
    """The nodes that it has lost."""


class Queue(msgspec.Struct, frozen=True):
    """One queue."""

    name: str
    type: str = ""
    arguments: dict[str, Any] = {}
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None
    """What policies set for it; an empty list is nothing, too."""
    messages_ready: int | None = None
    messages_unacknowledged: int | None = None
    consumers: int | None = None
    members: list[str] = []
    """The nodes that have a copy."""
    online: list[str] = []
    """Those of them that are there."""

    @property
    def policies(self) -> dict[str, Any]:
        """What policies set for it, by key."""
        given = self.effective_policy_definition
        return given if isinstance(given, dict) else {}

    @property
    def has_unknown_policy(self) -> bool:
        """Whether there is a policy of which the API does not tell what it sets."""
        is_there = bool(self.policy or self.operator_policy)
        return is_there and self.effective_policy_definition is None

    @property
    def set_by(self) -> str:
        """The policies that apply, in words."""
        by = [f"policy {self.policy!r}"] if self.policy else []
        by += [f"operator policy {self.operator_policy!r}"] if self.operator_policy else []
        return " and ".join(by) or "a policy"


class QueuePage(msgspec.Struct, frozen=True):
    """Some of the queues."""

    items: list[Queue]
    page_count: int = 1


class Deprecated(msgspec.Struct, frozen=True):
    """A feature that is used and will be gone."""

    name: str = "?"
    deprecation_phase: str = ""
