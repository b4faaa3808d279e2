"""What a consumer is asked to do, as one value."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

from ltq.broker.isolation import isolation_of
from ltq.message import own_lane
from ltq.names import by_namespace, check_lanes, check_name, consumer_name, is_name
from ltq.options import DEFAULT_MAX_DELIVERIES, Limit

DEFAULT_LEASE = 15.0
"""Seconds that a claim holds without a heartbeat."""

SAY_AGAIN = 0.2
"""The part of a lease after which a claim says again that its consumer lives."""

MOST_ANNOUNCED = 1000
"""Most lanes of tasks that a consumer says it serves, beside those that were named to it."""


@dataclass(frozen=True, kw_only=True)
class ConsumerConfig:
    """The lanes of a consumer, and how it claims from them.

    Raises `ConfigurationError` for a wrong name.
    """

    lanes: tuple[str, ...]
    """The queues (or lanes, see `ltq.message.lane_of`) that it serves."""
    name: str = field(default_factory=consumer_name)
    lease: float = DEFAULT_LEASE
    """Seconds that a claim holds without a heartbeat."""
    limits: Mapping[str, Limit] = field(default_factory=dict)
    """The limits of lanes, by lane."""
    knows: frozenset[str] | None = None
    """The kinds of the tasks that it runs (`ltq.message.kind_of`); None for all. See `lane_for` and
    `serves`."""
    max_deliveries: Mapping[str, int] | None = None
    """After how many deaths in a row the consumer itself rejects tasks whose envelopes leave that
    to it, by their names; it is `DEFAULT_MAX_DELIVERIES` for all others. None if it rejects none.
    """
    revoked: Callable[[str], None] | None = None
    """Called in the consumer's event loop with the id of each task that is cancelled while the
    consumer holds it."""
    before_sweep: Callable[[str], Awaitable[None]] | None = None
    """Awaited before a claim takes back the tasks of dead consumers, so that a consumer can renew
    its own leases after an outage. It gets the shard where that is (`Settler.shard`)."""

    def __post_init__(self) -> None:
        check_name("consumer", self.name)
        check_lanes((*self.lanes, *self.limits))

    def isolation_of(self, task_name: str, deaths: int, max_deliveries: int | None) -> int | None:
        """How many tasks may run beside a task (see `isolation_of`); None means no limit.

        `max_deliveries` is what its envelope says. There is no limit for a task that the consumer
        will reject: it does not run.
        """
        if max_deliveries is None and self.max_deliveries is not None:
            max_deliveries = self.max_deliveries.get(task_name, DEFAULT_MAX_DELIVERIES)
            if deaths >= max_deliveries:
                return None
        return isolation_of(deaths, max_deliveries)

    @cached_property
    def namespaces(self) -> Mapping[str, list[str]]:
        """Its lanes by namespace, each lane once."""
        return by_namespace(dict.fromkeys(self.lanes), str)

    @cached_property
    def limited(self) -> Mapping[str, list[str]]:
        """The lanes that have limits, of the same namespaces."""
        limited = by_namespace(self.limits, str)
        return {name: lanes for name, lanes in limited.items() if name in self.namespaces}

    def turns(self) -> "list[ConsumerConfig]":
        """The same with its namespaces in each turn's order: in every claim another goes first."""
        groups = [*self.namespaces.values()]
        orders = (groups[i:] + groups[:i] for i in range(max(1, len(groups))))
        return [replace(self, lanes=tuple(chain.from_iterable(order))) for order in orders]

    @cached_property
    def _named(self) -> frozenset[str]:
        return frozenset(self.lanes)

    def serves(self, lane: str) -> bool:
        """Whether it claims from a lane.

        Beside `lanes` these are the lanes of its queues in which only tasks that it knows wait.
        """
        if lane in self._named:
            return True
        queue, _, kind = lane.partition("/")
        return self.knows is not None and kind in self.knows and queue in self._named

    @cached_property
    def announced(self) -> Sequence[str]:
        """The lanes of which it says that it serves them, see `Presence.serve`.

        That is all that it serves; if they are very many, only `lanes`.
        """
        kinds = self.knows or ()
        queues = [lane for lane in dict.fromkeys(self.lanes) if "/" not in lane]
        own = (own_lane(queue, kind) for queue in queues for kind in kinds)
        few = own if len(queues) * len(kinds) <= MOST_ANNOUNCED else ()
        return list(dict.fromkeys([*self.lanes, *few]))

    def lane_for(self, lane: str, queue: str, kind: str) -> str | None:
        """The lane to which a claim moves a task of this lane; None if it gives the task.

        `kind` is from `ltq.message.kind_of`. A task that the consumer does not know, or one whose
        limits are those of its own lane, goes to that lane, where those find it who know it. What
        nobody can know, because it is no valid name, is given: a worker rejects it.
        """
        if self.knows is None or (kind in self.knows and not self.limits):
            return None
        own = own_lane(queue, kind)
        if lane == own or not is_name(kind.partition("/")[0]):
            return None
        is_limited = lane not in self.limits and own in self.limits
        return None if kind in self.knows and not is_limited else own
