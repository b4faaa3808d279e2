"""The half of the suite about workers over a broker, for `from ... import *` in a test file."""

from ltq.testing.conformance._caller.full import TestFullQueue
from ltq.testing.conformance._caller.leftovers import TestCallers
from ltq.testing.conformance._caller.options import TestOptionsOfManyMessages, TestSameMessage
from ltq.testing.conformance._caller.replayed import TestReplayedHandle
from ltq.testing.conformance._caller.send import TestHandle, TestSend
from ltq.testing.conformance._caller.sent import TestWhatWasEnqueued
from ltq.testing.conformance._caller.sync import (
    TestCloseSync,
    TestSyncHandle,
    TestSyncMistakes,
    TestSyncSend,
)
from ltq.testing.conformance._caller.tags import TestTagsOfTasks
from ltq.testing.conformance._caller.together import (
    TestAsCompleted,
    TestGather,
    TestGiveUp,
    TestTogetherMistakes,
)
from ltq.testing.conformance._caller.unique import TestUniqueSend
from ltq.testing.conformance._flows.cut import TestCutStart
from ltq.testing.conformance._flows.seen import TestSeenWorkflow
from ltq.testing.conformance._flows.send_after import (
    TestLeftUnsent,
    TestNotSentAfter,
    TestSendAfter,
    TestSendAfterMistakes,
    desk,
)
from ltq.testing.conformance._flows.workflows import (
    TestAbandonedWorkflow,
    TestCancelledWorkflow,
    TestFailedWorkflow,
    TestWorkflow,
    TestWorkflowMistakes,
    shop,
)
from ltq.testing.conformance._registry.live_workers import TestListedWorkers
from ltq.testing.conformance._schedules.run_time import (
    TestKeeperAway,
    TestListedSchedules,
    TestPauseAtRunTime,
    TestPutAtRunTime,
    TestTriggeredSchedule,
)
from ltq.testing.conformance._steering.worker import TestPausedWorker
from ltq.testing.conformance._streams.running import TestStream, TestStreamMistakes
from ltq.testing.conformance._support.fixtures import (
    broker,
    consumer,
    make_consumer,
    open_broker,
    worker,
)
from ltq.testing.conformance._worker.aliases import TestAliases, TestAliasMistakes, TestLookout
from ltq.testing.conformance._worker.blocked_loop import TestBlockedLoop
from ltq.testing.conformance._worker.broken_loop import TestBrokenLoop
from ltq.testing.conformance._worker.ctx import TestCtxInAWorker
from ltq.testing.conformance._worker.edges import (
    TestBurst,
    TestBurstOfThreads,
    TestCancelBeforeTheStart,
    TestCancelledRun,
    TestCancelledStart,
    TestDeclaration,
    TestEndOfItsLoop,
    TestOutcomes,
    TestStopTwice,
)
from ltq.testing.conformance._worker.endings import TestEveryRunEnds, TestSerializersThatRaise
from ltq.testing.conformance._worker.events import TestEventKinds, TestEventReader, TestSubscribe
from ltq.testing.conformance._worker.failure import TestFailure
from ltq.testing.conformance._worker.isolation import TestIsolationInAWorker
from ltq.testing.conformance._worker.lifespan import (
    TestLifespanEnd,
    TestLifespanStart,
    TestResource,
)
from ltq.testing.conformance._worker.max_running import (
    TestChangedLimitInAWorker,
    TestMaxRunningInAWorker,
)
from ltq.testing.conformance._worker.observers import TestObserver, TestObservers
from ltq.testing.conformance._worker.progress import TestProgressInAWorker, TestProgressOfAThread
from ltq.testing.conformance._worker.run import (
    TestCancelInAWorker,
    TestRateInAWorker,
    TestRun,
    TestShutdown,
)
from ltq.testing.conformance._worker.scheduler import TestScheduler
from ltq.testing.conformance._worker.shared_queues import (
    TestGainedLimit,
    TestRollingDeployment,
    TestSharedQueue,
    TestUnknownEverywhere,
)
from ltq.testing.conformance._worker.threads import (
    TestThreadCancel,
    TestThreadErrors,
    TestThreadStop,
    TestThreadTimeout,
)
from ltq.testing.conformance._worker.told import (
    TestNoThread,
    TestSwallowedTimeout,
    TestToldLikeEveryFailure,
    TestTooOld,
    TestTriesAnywhere,
)
from ltq.testing.conformance._worker.travels import (
    TestOptionsOfTheRunningCode,
    TestSerializersInAWorker,
)
from ltq.testing.conformance._worker.waiting import TestNoRoomLeft

__all__ = [
    "TestAbandonedWorkflow",
    "TestAliasMistakes",
    "TestAliases",
    "TestAsCompleted",
    "TestBlockedLoop",
    "TestBrokenLoop",
    "TestBurst",
    "TestBurstOfThreads",
    "TestCallers",
    "TestCancelBeforeTheStart",
    "TestCancelInAWorker",
    "TestCancelledRun",
    "TestCancelledStart",
    "TestCancelledWorkflow",
    "TestChangedLimitInAWorker",
    "TestCloseSync",
    "TestCtxInAWorker",
    "TestCutStart",
    "TestDeclaration",
    "TestEndOfItsLoop",
    "TestEventKinds",
    "TestEventReader",
    "TestEveryRunEnds",
    "TestFailedWorkflow",
    "TestFailure",
    "TestFullQueue",
    "TestGainedLimit",
    "TestGather",
    "TestGiveUp",
    "TestHandle",
    "TestIsolationInAWorker",
    "TestKeeperAway",
    "TestLeftUnsent",
    "TestLifespanEnd",
    "TestLifespanStart",
    "TestListedSchedules",
    "TestListedWorkers",
    "TestLookout",
    "TestMaxRunningInAWorker",
    "TestNoRoomLeft",
    "TestNoThread",
    "TestNotSentAfter",
    "TestObserver",
    "TestObservers",
    "TestOptionsOfManyMessages",
    "TestOptionsOfTheRunningCode",
    "TestOutcomes",
    "TestPauseAtRunTime",
    "TestPausedWorker",
    "TestProgressInAWorker",
    "TestProgressOfAThread",
    "TestPutAtRunTime",
    "TestRateInAWorker",
    "TestReplayedHandle",
    "TestResource",
    "TestRollingDeployment",
    "TestRun",
    "TestSameMessage",
    "TestScheduler",
    "TestSeenWorkflow",
    "TestSend",
    "TestSendAfter",
    "TestSendAfterMistakes",
    "TestSerializersInAWorker",
    "TestSerializersThatRaise",
    "TestSharedQueue",
    "TestShutdown",
    "TestStopTwice",
    "TestStream",
    "TestStreamMistakes",
    "TestSubscribe",
    "TestSwallowedTimeout",
    "TestSyncHandle",
    "TestSyncMistakes",
    "TestSyncSend",
    "TestTagsOfTasks",
    "TestThreadCancel",
    "TestThreadErrors",
    "TestThreadStop",
    "TestThreadTimeout",
    "TestTogetherMistakes",
    "TestToldLikeEveryFailure",
    "TestTooOld",
    "TestTriesAnywhere",
    "TestTriggeredSchedule",
    "TestUniqueSend",
    "TestUnknownEverywhere",
    "TestWhatWasEnqueued",
    "TestWorkflow",
    "TestWorkflowMistakes",
    "broker",
    "consumer",
    "desk",
    "make_consumer",
    "open_broker",
    "shop",
    "worker",
]
