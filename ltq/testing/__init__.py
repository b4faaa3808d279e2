"""Testing tasks and the code that sends them: in memory, with a clock that the test moves.

async with ltq.testing.use(worker) as box:
    await checkout(12)
    ltq.testing.assert_sent(pay, 12)
    await box.clock.advance(hours=1)

pytest is not needed; `ltq.testing.plugin` has fixtures for it. See `docs/testing.md`.
"""

from ltq.testing.assertions import (
    assert_not_sent,
    assert_sent,
    assert_sent_once,
    assert_streamed,
    sent,
)
from ltq.testing.box import Box, drain, use
from ltq.testing.clock import Clock
from ltq.testing.faults import Fault
from ltq.testing.flaky import FlakyBroker

__all__ = [
    "Box",
    "Clock",
    "Fault",
    "FlakyBroker",
    "assert_not_sent",
    "assert_sent",
    "assert_sent_once",
    "assert_streamed",
    "drain",
    "sent",
    "use",
]
