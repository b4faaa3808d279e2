"""The half of the suite about a broker's own calls, for `from ... import *` in a test file."""

from ltq.testing.conformance._claims.changed_limits import TestChangedMaxRunning, TestChangedRate
from ltq.testing.conformance._claims.isolation import TestIsolation, TestIsolationRule
from ltq.testing.conformance._claims.max_running import TestMaxRunning
from ltq.testing.conformance._claims.order import (
    TestOrderOfDueTasks,
    TestOrderOfRecoveries,
    TestOrderOfReturns,
)
from ltq.testing.conformance._claims.priorities import (
    TestComingBack,
    TestNamespaces,
    TestPriority,
    TestTurns,
)
from ltq.testing.conformance._claims.rate import TestRateLimit
from ltq.testing.conformance._claims.while_waiting import TestWaitWithRoom
from ltq.testing.conformance._figures.history import (
    TestDurations,
    TestHistory,
    TestLateRate,
    TestOldest,
)
from ltq.testing.conformance._figures.many_queues import TestManyQueues
from ltq.testing.conformance._flows.cancelled import TestCancelEach
from ltq.testing.conformance._flows.early import TestEarlyArrivals
from ltq.testing.conformance._flows.followed import TestFollowed
from ltq.testing.conformance._flows.kept import TestEndings, TestHeld, TestReadCtx, TestStopped
from ltq.testing.conformance._lanes.presence import TestServed, TestStandstill
from ltq.testing.conformance._lanes.strangers import (
    TestLaneOfAStranger,
    TestLimitedKnown,
    TestMoved,
    TestUnserved,
)
from ltq.testing.conformance._listing.pages import TestCursor, TestPages
from ltq.testing.conformance._listing.tasks import (
    TestFilters,
    TestFinalTasks,
    TestTaskDetail,
    TestTasks,
)
from ltq.testing.conformance._moving.parcels import (
    TestAdopt,
    TestAdoptDead,
    TestDrop,
    TestPack,
)
from ltq.testing.conformance._moving.schedules import TestAdoptSchedule
from ltq.testing.conformance._moving.unique import TestUniqueMoves
from ltq.testing.conformance._registry.announced import (
    TestAnnounced,
    TestConsumersWithoutAWorker,
    TestLeave,
    TestSilent,
)
from ltq.testing.conformance._schedules.kept import (
    TestChangedSchedules,
    TestPauseSchedule,
    TestPutSchedule,
    TestRemoveSchedule,
)
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
from ltq.testing.conformance._seam.diagnostics import TestExamine, TestMigrate, TestWorkers
from ltq.testing.conformance._seam.finish import (
    TestDeadOutcome,
    TestFinish,
    TestKeptCtx,
    TestKeptFailure,
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
from ltq.testing.conformance._seam.lease import TestHeartbeat, TestRecovery, TestToken
from ltq.testing.conformance._seam.names import (
    TestNamesInCalls,
    TestNamesOfConsumers,
    TestNamesOfEnvelopes,
)
from ltq.testing.conformance._seam.poison import TestOpenMaxDeliveries, TestPoison
from ltq.testing.conformance._seam.publish import (
    TestIdThatIsThere,
    TestMaxPending,
    TestPublish,
    TestSerializerNames,
)
from ltq.testing.conformance._seam.receipts import TestSecondOutcome, TestStaleOutcome
from ltq.testing.conformance._seam.replay import TestReplay
from ltq.testing.conformance._seam.schedule_slots import TestBrokerTime, TestDeclaredTwice, TestFire
from ltq.testing.conformance._seam.tags import TestPriorityInAState, TestTags, TestTriesInAState
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
from ltq.testing.conformance._steering.cancel_many import TestCancelMany
from ltq.testing.conformance._steering.pause import TestPause, TestResume
from ltq.testing.conformance._steering.promote import TestPromote
from ltq.testing.conformance._steering.rerun import TestRerun
from ltq.testing.conformance._streams.items import (
    TestAppend,
    TestEndOfItems,
    TestItemsOfALease,
    TestMaxItems,
    TestReadItems,
)
from ltq.testing.conformance._support.fixtures import (
    broker,
    consumer,
    make_consumer,
    open_broker,
    worker,
)

__all__ = [
    "TestAdopt",
    "TestAdoptDead",
    "TestAdoptSchedule",
    "TestAnnounced",
    "TestAppend",
    "TestBrokerTime",
    "TestCancel",
    "TestCancelEach",
    "TestCancelMany",
    "TestCancelOfAWorkingTask",
    "TestChangedMaxRunning",
    "TestChangedRate",
    "TestChangedSchedules",
    "TestClaim",
    "TestClaimOfNothing",
    "TestClaimWithTimeout",
    "TestClear",
    "TestClose",
    "TestComingBack",
    "TestConsumersWithoutAWorker",
    "TestCursor",
    "TestDeadLetterById",
    "TestDeadLetters",
    "TestDeadOutcome",
    "TestDeclaredTwice",
    "TestDelay",
    "TestDelayOfARequeue",
    "TestDrop",
    "TestDurations",
    "TestEarlyArrivals",
    "TestEndOfItems",
    "TestEndings",
    "TestExamine",
    "TestFeed",
    "TestFilters",
    "TestFinalTasks",
    "TestFind",
    "TestFinish",
    "TestFire",
    "TestFollowed",
    "TestHeartbeat",
    "TestHeld",
    "TestHistory",
    "TestIdThatIsThere",
    "TestIsolation",
    "TestIsolationRule",
    "TestItemsOfALease",
    "TestKeptCtx",
    "TestKeptFailure",
    "TestLaneOfAStranger",
    "TestLateRate",
    "TestLeave",
    "TestLimitedKnown",
    "TestLongTexts",
    "TestLooking",
    "TestManyQueues",
    "TestMaxItems",
    "TestMaxPending",
    "TestMaxRunning",
    "TestMigrate",
    "TestMoved",
    "TestNamesInCalls",
    "TestNamesOfConsumers",
    "TestNamesOfEnvelopes",
    "TestNamespaces",
    "TestOldest",
    "TestOpenMaxDeliveries",
    "TestOrderOfDueTasks",
    "TestOrderOfRecoveries",
    "TestOrderOfReturns",
    "TestPack",
    "TestPages",
    "TestPause",
    "TestPauseSchedule",
    "TestPoison",
    "TestPriority",
    "TestPriorityInAState",
    "TestProgress",
    "TestPromote",
    "TestPublish",
    "TestPurge",
    "TestPutSchedule",
    "TestQueues",
    "TestRateLimit",
    "TestReadCtx",
    "TestReadItems",
    "TestRecovery",
    "TestRemoveSchedule",
    "TestRepeatedOutcome",
    "TestReplay",
    "TestRequeue",
    "TestRerun",
    "TestResume",
    "TestSecondOutcome",
    "TestSerializerNames",
    "TestServed",
    "TestSilent",
    "TestStaleOutcome",
    "TestStandstill",
    "TestStates",
    "TestStats",
    "TestStopped",
    "TestTags",
    "TestTaskDetail",
    "TestTasks",
    "TestTextsThatAreNotUnicode",
    "TestThroughput",
    "TestToken",
    "TestTorrelqueDequeue",
    "TestTorrelqueEnqueue",
    "TestTorrelqueRelease",
    "TestTorrelqueRequeue",
    "TestTorrelqueSweep",
    "TestTorrelqueWatch",
    "TestTriesInAState",
    "TestTurns",
    "TestUnique",
    "TestUniqueMoves",
    "TestUnserved",
    "TestWaitForTheEnd",
    "TestWaitForWork",
    "TestWaitWithRoom",
    "TestWatch",
    "TestWorkers",
    "broker",
    "consumer",
    "make_consumer",
    "open_broker",
    "worker",
]
