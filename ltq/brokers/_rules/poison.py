"""Poison: a task that workers die under is isolated step by step, and buried in the end.

`ltq.broker.isolation` says how many deaths a task has left, and so how many tasks may run beside
it. A claim uses `Record.isolation`, a recovery uses this module.
"""

from ltq.broker.isolation import deaths_left
from ltq.brokers._rules.constants import KILLED_ONCE, KILLED_TIMES
from ltq.brokers._rules.record import Record
from ltq.message import Failure


def is_poison(record: Record) -> bool:
    """Whether a task has killed too many workers to be given to another."""
    return deaths_left(record.deaths, record.envelope.max_deliveries) <= 0


def cause_of_death(record: Record) -> Failure:
    """The failure of a task that is buried for that."""
    return Failure("", KILLED_ONCE if record.deaths == 1 else KILLED_TIMES % record.deaths)
