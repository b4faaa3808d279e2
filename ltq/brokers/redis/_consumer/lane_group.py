"""The lanes of one namespace that a consumer serves, and how far it is with claiming from them."""

import os
from collections.abc import Mapping

from ltq.brokers.redis import _keys
from ltq.brokers.redis._call import Argument
from ltq.brokers.redis._scripts.calls import ClaimAnswer, ClaimReply
from ltq.brokers.redis._scripts.script import Flag
from ltq.options import Limit


class LaneGroup:
    """The served lanes of one namespace."""

    def __init__(self, namespace: str, lanes: list[str], limits: Mapping[str, Limit]) -> None:
        self.namespace = namespace
        self.prefix = _keys.prefix(namespace)
        self.lanes = _keys.line_list(lanes)
        self.wake_keys = [_keys.wake(namespace, lane) for lane in lanes]
        self.limits: list[Argument] = []
        for lane in lanes:
            if lane in limits:
                self.limits += _limit_arguments(lane, limits[lane])
        self.woken: set[str] = set()
        """Lanes whose wake-up this consumer took, and that it has not looked at since."""
        self.start_in: float | None = None
        self.isolation: int | None = None
        self.claim_id = _new_claim_id()
        self.again: Flag = ""
        """Whether a call with this claim id may have been carried out, but for its reply."""

    def answered(self, reply: ClaimReply, woken: frozenset[str]) -> None:
        """A claim with the present claim id was answered; `woken` is what it was told."""
        self.claim_id, self.again = _new_claim_id(), ""
        if reply.answer is ClaimAnswer.CLAIMED:  # else no lane was looked at
            self.woken -= woken
        self.start_in = reply.start_in
        if reply.isolation is not None:
            self.isolation = min(reply.isolation, self.isolation or reply.isolation)


def _limit_arguments(lane: str, limit: Limit) -> list[Argument]:
    rate, most = limit.rate, "" if limit.running is None else limit.running
    return [lane, *(("", "") if rate is None else (repr(rate.interval), rate.burst)), most]


def _new_claim_id() -> str:
    return os.urandom(8).hex()
