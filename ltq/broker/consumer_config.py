"""What a consumer is asked to do, as one value."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ltq.names import consumer_name, namespace_of
from ltq.options import Limit

DEFAULT_LEASE = 15.0
"""Seconds that a claim holds without a heartbeat."""


@dataclass(frozen=True, kw_only=True)
class ConsumerConfig:
    """The lanes of a consumer, and how it claims from them."""

    lanes: tuple[str, ...]
    """The queues (or lanes, see `ltq.message.lane_of`) that it serves."""
    name: str = field(default_factory=consumer_name)
    lease: float = DEFAULT_LEASE
    """Seconds that a claim holds without a heartbeat."""
    limits: Mapping[str, Limit] = field(default_factory=dict)
    """The limits of lanes, by lane."""
    revoked: Callable[[str], None] | None = None
    """Called in the consumer's event loop with the id of each task that is cancelled while the
    consumer holds it."""
    before_sweep: Callable[[], Awaitable[None]] | None = None
    """Awaited before a claim takes back the tasks of dead consumers, so that a consumer can renew
    its own leases after an outage."""

    @cached_property
    def namespaces(self) -> Mapping[str, list[str]]:
        """Its lanes by namespace, each lane once."""
        found: dict[str, list[str]] = {}
        for lane in dict.fromkeys(self.lanes):
            found.setdefault(namespace_of(lane), []).append(lane)
        return found
