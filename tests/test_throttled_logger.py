"""Warnings that may repeat many times a second."""

import logging

import pytest

from ltq.logger import ThrottledLogger


class Stand:
    def __init__(self) -> None:
        self.now = 0.0
        logger = logging.getLogger("ltq.test")
        self.throttled = ThrottledLogger(logger, 5.0, clock=lambda: self.now)


def test_one_is_logged_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    for second in range(11):
        stand.now = float(second)
        stand.throttled.warning("away since %d", second)
    assert [record.getMessage() for record in caplog.records] == [
        f"away since {second}" for second in (0, 5, 10)
    ]


def test_when_it_is_over_the_next_one_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    stand = Stand()
    assert not stand.throttled.over()
    stand.throttled.warning("away")
    assert stand.throttled.over()
    assert not stand.throttled.over()
    stand.throttled.warning("away")
    assert len(caplog.records) == 2
