"""The half of the suite about a broker's own calls, for `from ... import *` in a test file."""

from ltq.testing.conformance._seam.cancel import TestCancel, TestCancelOfAWorkingTask
from ltq.testing.conformance._seam.claim import (
    TestClaim,
    TestClaimOfNothing,
    TestClaimWithTimeout,
    TestClose,
    TestWaitForWork,
)
from ltq.testing.conformance._seam.dead_letters import (
    TestDeadLetterById,
    TestDeadLetters,
    TestPurge,
)
from ltq.testing.conformance._seam.delay import TestDelay, TestDelayOfARequeue
from ltq.testing.conformance._seam.diagnostics import TestExamine, TestWorkers
from ltq.testing.conformance._seam.finish import (
    TestDeadOutcome,
    TestFinish,
    TestProgress,
    TestRepeatedOutcome,
    TestRequeue,
)
from ltq.testing.conformance._seam.inspector import (
    TestClear,
    TestFind,
    TestLooking,
    TestQueues,
    TestStates,
    TestStats,
    TestThroughput,
)
from ltq.testing.conformance._seam.isolation import TestIsolation, TestIsolationRule
from ltq.testing.conformance._seam.lease import TestHeartbeat, TestRecovery, TestToken
from ltq.testing.conformance._seam.max_running import TestMaxRunning
from ltq.testing.conformance._seam.poison import TestPoison
from ltq.testing.conformance._seam.priorities import TestComingBack, TestPriority, TestTurns
from ltq.testing.conformance._seam.publish import TestIdThatIsThere, TestMaxPending, TestPublish
from ltq.testing.conformance._seam.rate import TestRateLimit
from ltq.testing.conformance._seam.replay import TestReplay
from ltq.testing.conformance._seam.schedule_slots import TestBrokerTime, TestFire
from ltq.testing.conformance._seam.texts import TestLongTexts, TestTextsThatAreNotUnicode
from ltq.testing.conformance._seam.torrelque import (
    TestTorrelqueDequeue,
    TestTorrelqueEnqueue,
    TestTorrelqueRelease,
    TestTorrelqueRequeue,
    TestTorrelqueSweep,
    TestTorrelqueWatch,
)
from ltq.testing.conformance._seam.unique import TestUnique
from ltq.testing.conformance._seam.watch import TestFeed, TestWaitForTheEnd, TestWatch
from ltq.testing.conformance._support.fixtures import (
    broker,
    consumer,
    make_consumer,
    open_broker,
    worker,
)

__all__ = [
    "TestBrokerTime",
    "TestCancel",
    "TestCancelOfAWorkingTask",
    "TestClaim",
    "TestClaimOfNothing",
    "TestClaimWithTimeout",
    "TestClear",
    "TestClose",
    "TestComingBack",
    "TestDeadLetterById",
    "TestDeadLetters",
    "TestDeadOutcome",
    "TestDelay",
    "TestDelayOfARequeue",
    "TestExamine",
    "TestFeed",
    "TestFind",
    "TestFinish",
    "TestFire",
    "TestHeartbeat",
    "TestIdThatIsThere",
    "TestIsolation",
    "TestIsolationRule",
    "TestLongTexts",
    "TestLooking",
    "TestMaxPending",
    "TestMaxRunning",
    "TestPoison",
    "TestPriority",
    "TestProgress",
    "TestPublish",
    "TestPurge",
    "TestQueues",
    "TestRateLimit",
    "TestRecovery",
    "TestRepeatedOutcome",
    "TestReplay",
    "TestRequeue",
    "TestStates",
    "TestStats",
    "TestTextsThatAreNotUnicode",
    "TestThroughput",
    "TestToken",
    "TestTorrelqueDequeue",
    "TestTorrelqueEnqueue",
    "TestTorrelqueRelease",
    "TestTorrelqueRequeue",
    "TestTorrelqueSweep",
    "TestTorrelqueWatch",
    "TestTurns",
    "TestUnique",
    "TestWaitForTheEnd",
    "TestWaitForWork",
    "TestWatch",
    "TestWorkers",
    "broker",
    "consumer",
    "make_consumer",
    "open_broker",
    "worker",
]
