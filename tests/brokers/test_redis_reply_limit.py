"""How large the reply to the next claim may be."""

from ltq.brokers.redis._server.reply_limit import SHRINK, ReplyLimit
from ltq.errors import BrokerError


def test_a_reply_that_did_not_come_makes_the_next_one_smaller_and_a_refusal_does_not() -> None:
    limit = ReplyLimit()
    at_first = limit.bytes
    refusal = BrokerError("refused")
    refusal.is_refusal = True
    limit.failed(refusal)
    assert limit.bytes == at_first
    limit.failed(BrokerError("no answer"))
    assert limit.bytes == at_first // SHRINK
    limit.arrived()
    assert limit.bytes == min(at_first, 2 * (at_first // SHRINK))
