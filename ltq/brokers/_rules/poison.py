"""Poison: a task that workers die under is isolated step by step, and buried in the end.

The numbers are in `ltq.broker.isolation`: how many deaths are left, and so how many tasks may run
beside it. A claim asks for `Record.isolation`, a recovery asks here.
"""

from ltq.broker.isolation import deaths_left
from ltq.brokers._rules.constants import KILLED_ONCE, KILLED_TIMES
from ltq.brokers._rules.record import Record
from ltq.message import Failure


def is_poison(record: Record) -> bool:
    """Whether so many workers died under a task that no other shall get it."""
    return deaths_left(record.deaths, record.envelope.max_deliveries) <= 0


def cause_of_death(record: Record) -> Failure:
    """What is said of a task that is buried for it."""
    return Failure("", KILLED_ONCE if record.deaths == 1 else KILLED_TIMES % record.deaths)
