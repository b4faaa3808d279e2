"""What is right and wrong about queues."""

from typing import Any

import pytest

from ltq.broker import Severity, examine_queues
from ltq.state import QueueStats


def queue(**fields: Any) -> QueueStats:
    zeros = {"pending": 0, "delayed": 0, "working": 0, "dead": 0}
    return QueueStats(queue="mail:send", **{**zeros, **fields})


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        (queue(oldest=1000.0, pending=5), [("queues", Severity.WARNING)]),
        (queue(oldest=5000.0, pending=5, working=1), [("queues", Severity.OK)]),
        (queue(dead=2), [("dead letters", Severity.OK)]),
        (queue(overdue=2, working=2), [("leases", Severity.WARNING)]),
        (
            queue(oldest=400.0, overdue=2, working=2, pending=1),
            [("leases", Severity.WARNING), ("queues", Severity.WARNING)],
        ),
    ],
)
def test_what_is_told_comes_with_advice(
    subject: QueueStats, found: list[tuple[str, Severity]]
) -> None:
    findings = examine_queues([subject])
    assert [(finding.name, finding.severity) for finding in findings] == found
    assert all(finding.advice for finding in findings)


@pytest.mark.parametrize(
    "subject",
    [
        queue(),
        queue(oldest=1.0, pending=5),
        queue(oldest=1000.0, pending=5, working=1),
    ],
)
def test_a_queue_that_moves_is_well(subject: QueueStats) -> None:
    (finding,) = examine_queues([subject])
    assert (finding.severity, finding.advice) == (Severity.OK, "")
