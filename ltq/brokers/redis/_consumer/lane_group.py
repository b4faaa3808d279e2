"""The lanes of one namespace that a consumer serves, and the state of its claims from them."""

import os
from collections.abc import Collection, Iterator
from itertools import count

from ltq.broker import ConsumerConfig
from ltq.brokers.redis._scripts.calls import ClaimAnswer, ClaimReply
from ltq.brokers.redis._scripts.script import Flag
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.keys import line_list
from ltq.brokers.redis._server.link import Link
from ltq.names import namespace_of
from ltq.options import Limit


class LaneGroup:
    """The lanes of one namespace that a consumer serves.

    `number` tells those apart from which it claims at once.
    """

    def __init__(self, namespace: str, config: ConsumerConfig, link: Link, number: int = 1) -> None:
        lanes, limits, knows = config.namespaces[namespace], config.limits, config.knows
        self.namespace = namespace
        self.link = link
        keys = link.keys
        self.prefix = keys.prefix(namespace)
        self.served = [lane for lane in config.announced if namespace_of(lane) == namespace]
        """Lanes of which the server is told from time to time that a consumer serves them."""
        self.told_at = 0.0
        """When it was told last, by the clock of the event loop."""
        self.known_at: float | None = None
        """When the server was made to know their queues, by the same clock."""
        named = frozenset(lanes)
        self.lanes = line_list(lane for lane in lanes if not _is_implied(lane, named, knows))
        self.knows = "" if knows is None else line_list(sorted(knows)) or "\n"
        """The names of tasks that it runs, as the script takes them."""
        self.wakes_for = line_list(lanes)
        """The lanes whose wake-ups it may take, as the script takes them."""
        self.wake_keys = [keys.wake(namespace, lane) for lane in lanes]
        self.limits = [
            word
            for lane, limit in limits.items()
            if namespace_of(lane) == namespace
            for word in _limit_arguments(lane, limit)
        ]
        self.was_away = False
        """Whether its node did not serve it, and no claim has succeeded since."""
        self.woken: set[str] = set()
        """Lanes whose wake-up this consumer has taken, but which it has not claimed from since."""
        self.start_in: float | None = None
        self.isolation: int | None = None
        self.moved: dict[str, None] = {}
        """Lanes to which tasks were moved, since the consumer's claim began."""
        self._next_claim_id = _claim_ids(number).__next__
        self.came: ClaimReply | None = None
        """What a claim gave that was sent behind a pop, for the next claim."""
        self.offset: float | None = None
        """How far the event loop's clock is ahead of the server's, at least."""
        self.left_some, self.age = False, 0.0
        """Whether the last claim left tasks for which this consumer may have room; and at most for
        how long those that it gave were leased already."""
        self.claim_id = self._next_claim_id()
        self.again: Flag = ""
        """Whether a call with this claim id may have been carried out without a reply."""
        self.known = 0
        """How many of its tasks, from the first on, have arrived."""

    def begin_anew(self) -> None:
        """The next claim is another one."""
        self.claim_id, self.again, self.known = self._next_claim_id(), "", 0

    def answered(self, reply: ClaimReply, woken: frozenset[str]) -> None:
        """Take in the reply to a claim that was sent with these woken lanes."""
        self.was_away = False
        if reply.answer is ClaimAnswer.PART:
            self.again, self.known = "1", reply.known
            return
        self.begin_anew()
        if reply.answer is ClaimAnswer.CLAIMED:  # otherwise the script looked at no lane
            self.woken -= woken
        self.start_in = reply.start_in
        self.moved |= dict.fromkeys(reply.moved)
        if reply.isolation is not None:
            self.isolation = min(reply.isolation, self.isolation or reply.isolation)


def _limit_arguments(lane: str, limit: Limit) -> list[Argument]:
    rate, most = limit.rate, "" if limit.running is None else limit.running
    return [lane, *(("", "") if rate is None else (repr(rate.interval), rate.burst)), most]


def _is_implied(lane: str, lanes: Collection[str], knows: Collection[str] | None) -> bool:
    """Whether the script sees by itself that a lane is served: see `ConsumerConfig.serves`."""
    queue, _, task_name = lane.partition("/")
    return knows is not None and task_name in knows and queue in lanes


def _claim_ids(number: int) -> Iterator[str]:
    """The script compares the numbers at the end of two that begin alike."""
    run = os.urandom(8).hex() + (f"/{number}" if number > 1 else "")
    return (f"{run}-{number}" for number in count(1))
