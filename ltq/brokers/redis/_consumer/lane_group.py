"""The lanes of one namespace that a consumer serves, and the state of its claims from them."""

import os
from collections.abc import Mapping, Sequence

from ltq.brokers.redis._scripts.calls import ClaimAnswer, ClaimReply
from ltq.brokers.redis._scripts.script import Flag
from ltq.brokers.redis._server import keys
from ltq.brokers.redis._server.call import Argument
from ltq.names import queue_of
from ltq.options import Limit


class LaneGroup:
    """The lanes of one namespace that a consumer serves."""

    def __init__(self, namespace: str, lanes: list[str], limits: Mapping[str, Limit]) -> None:
        self.namespace = namespace
        self.prefix = keys.prefix(namespace)
        self.queues: Sequence[str] = list(dict.fromkeys(map(queue_of, lanes)))
        self.is_registered = False
        """Whether the server has been told the names of its queues."""
        self.lanes = keys.line_list(lanes)
        self.wake_keys = [keys.wake(namespace, lane) for lane in lanes]
        self.limits: list[Argument] = []
        for lane in lanes:
            if lane in limits:
                self.limits += _limit_arguments(lane, limits[lane])
        self.woken: set[str] = set()
        """Lanes whose wake-up this consumer has taken, but which it has not claimed from since."""
        self.start_in: float | None = None
        self.isolation: int | None = None
        self.claim_id = _new_claim_id()
        self.again: Flag = ""
        """Whether a call with this claim id may have been carried out without a reply."""
        self.known = 0
        """How many of its tasks, from the first on, have arrived."""

    def answered(self, reply: ClaimReply, woken: frozenset[str]) -> None:
        """Take in the reply to a claim that was sent with these woken lanes."""
        if reply.answer is ClaimAnswer.PART:
            self.again, self.known = "1", reply.known
            return
        self.claim_id, self.again, self.known = _new_claim_id(), "", 0
        if reply.answer is ClaimAnswer.CLAIMED:  # otherwise the script looked at no lane
            self.woken -= woken
        self.start_in = reply.start_in
        if reply.isolation is not None:
            self.isolation = min(reply.isolation, self.isolation or reply.isolation)


def _limit_arguments(lane: str, limit: Limit) -> list[Argument]:
    rate, most = limit.rate, "" if limit.running is None else limit.running
    return [lane, *(("", "") if rate is None else (repr(rate.interval), rate.burst)), most]


def _new_claim_id() -> str:
    return os.urandom(8).hex()
