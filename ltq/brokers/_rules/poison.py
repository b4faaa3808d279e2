"""Poison: a task that workers die under is isolated step by step, and buried in the end.

`ltq.broker.isolation` says how many deaths a task has left, and so how many tasks may run beside
it. A claim uses `ConsumerConfig.isolation_of`, a recovery uses this module.
"""

from ltq.broker.isolation import deaths_left
from ltq.brokers._rules.record import Record


def is_poison(record: Record) -> bool:
    """Whether a task has killed too many workers to be given to another.

    If its envelope does not say how many are too many, that is for the one who claims it to decide.
    """
    most = record.envelope.max_deliveries
    return most is not None and deaths_left(record.deaths, most) <= 0
