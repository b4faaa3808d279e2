"""What is right and wrong about queues."""

from typing import Any

import pytest

from ltq.broker import Severity, examine_queues, stands_still, standstill_text
from ltq.state import QueueStats

NOBODY = "no live worker was seen within a day"


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
        (queue(oldest=400.0, pending=5, served_ago=0.0), [("queues", Severity.WARNING)]),
        (queue(oldest=400.0, pending=5, working=1, served_ago=301), [("queues", Severity.WARNING)]),
        (queue(delayed=1, unswept=301.0), [("queues", Severity.WARNING)]),
        (queue(delayed=1, unswept=301.0, served_ago=5.0), [("queues", Severity.WARNING)]),
        (
            queue(working=1, overdue=1, unswept=301.0, served_ago=300.0),
            [("leases", Severity.WARNING), ("queues", Severity.WARNING)],
        ),
        (
            queue(pending=5, oldest=400.0, unserved={"mail:new": 4, "mail:old": 1}),
            [("unknown tasks", Severity.WARNING)],
        ),
        (
            queue(pending=6, oldest=400.0, unserved={"mail:new": 4, "mail:old": 1}),
            [("queues", Severity.WARNING), ("unknown tasks", Severity.WARNING)],
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
        queue(oldest=1000.0, pending=5, working=1, served_ago=0.0),
        queue(oldest=1000.0, pending=5, working=1, served_ago=299.0),
        queue(oldest=299.0, pending=5),
        queue(delayed=9),
        queue(delayed=9, unswept=299.0),
        queue(delayed=9, unswept=1000.0, served_ago=0.0),
        queue(served_ago=80_000.0),
    ],
)
def test_a_queue_that_moves_is_well(subject: QueueStats) -> None:
    (finding,) = examine_queues([subject])
    assert (finding.severity, finding.advice) == (Severity.OK, "")


def test_unknown_tasks_are_named_but_not_all_of_very_many() -> None:
    unserved = {f"mail:task{number}": number for number in range(1, 9)}
    (finding,) = examine_queues([queue(pending=36, unserved=unserved)])
    assert finding.text.startswith("mail:send: no live worker knows mail:task1 (1 waiting), ")
    assert finding.text.endswith("mail:task5 (5 waiting), ...")


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (
            queue(oldest=400.0, pending=5),
            f"5 tasks waiting, the oldest for 400 s, none running; {NOBODY}",
        ),
        (
            queue(oldest=400.0, pending=5, working=2, served_ago=310.0),
            "5 tasks waiting, the oldest for 400 s, 2 running; no live worker for 310 s",
        ),
        (
            queue(oldest=400.0, pending=1, served_ago=0.0),
            "1 task waiting, the oldest for 400 s, none running",
        ),
        (
            queue(unswept=400.0, delayed=3, served_ago=390.0),
            "tasks are due, the first for 400 s; no live worker for 390 s",
        ),
    ],
)
def test_a_standstill_says_who_is_missing(subject: QueueStats, text: str) -> None:
    assert standstill_text(subject, 300.0) == f"mail:send stands still: {text}"
    assert standstill_text(subject, 500.0) == ""


def test_whether_any_worker_is_alive_is_told() -> None:
    (finding,) = examine_queues([queue(), queue(served_ago=5.0)])
    assert finding.text == "queues: 2, none stands still; no worker is alive"
    (finding,) = examine_queues([queue(), queue(served_ago=0.0)])
    assert finding.text == "queues: 2, none stands still; live workers serve 1 of them"


@pytest.mark.parametrize(
    ("subject", "severity", "text"),
    [
        (queue(paused=True), Severity.OK, "mail:send is paused"),
        (queue(paused=True, delayed=1, unswept=900.0), Severity.OK, "mail:send is paused"),
        (
            queue(paused=True, oldest=3000.0, pending=5),
            Severity.OK,
            "mail:send is paused: 5 tasks waiting, the oldest for 3000 s",
        ),
        (
            queue(paused=True, oldest=4000.0, pending=1, working=1, served_ago=0.0),
            Severity.WARNING,
            "mail:send is paused: 1 task waiting, the oldest for 4000 s",
        ),
    ],
)
def test_a_paused_queue_does_not_stand_still(
    subject: QueueStats, severity: Severity, text: str
) -> None:
    assert standstill_text(subject, 300.0) == ""
    assert not stands_still(subject)
    (finding,) = examine_queues([subject])
    assert (finding.name, finding.severity, finding.text) == ("paused", severity, text)
    assert finding.advice == "`ltq resume mail:send` lets it go on"
