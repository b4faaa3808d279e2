"""The half of the suite about workers over a broker, for `from ... import *` in a test file."""

from ltq.testing.conformance._support.fixtures import (
    broker,
    consumer,
    make_consumer,
    open_broker,
    worker,
)
from ltq.testing.conformance._worker.blocked_loop import TestBlockedLoop
from ltq.testing.conformance._worker.broken_loop import TestBrokenLoop
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
from ltq.testing.conformance._worker.full import TestFullQueue
from ltq.testing.conformance._worker.isolation import TestIsolationInAWorker
from ltq.testing.conformance._worker.lifespan import (
    TestLifespanEnd,
    TestLifespanStart,
    TestResource,
)
from ltq.testing.conformance._worker.max_running import TestMaxRunningInAWorker
from ltq.testing.conformance._worker.run import (
    TestCancelInAWorker,
    TestProgressInAWorker,
    TestRateInAWorker,
    TestRun,
    TestShutdown,
)
from ltq.testing.conformance._worker.scheduler import TestScheduler
from ltq.testing.conformance._worker.send import TestHandle, TestSend
from ltq.testing.conformance._worker.sync import (
    TestCloseSync,
    TestSyncHandle,
    TestSyncMistakes,
    TestSyncSend,
)
from ltq.testing.conformance._worker.threads import (
    TestThreadCancel,
    TestThreadErrors,
    TestThreadStop,
    TestThreadTimeout,
)
from ltq.testing.conformance._worker.together import (
    TestAsCompleted,
    TestGather,
    TestGiveUp,
    TestTogetherMistakes,
)
from ltq.testing.conformance._worker.unique import TestUniqueSend

__all__ = [
    "TestAsCompleted",
    "TestBlockedLoop",
    "TestBrokenLoop",
    "TestBurst",
    "TestBurstOfThreads",
    "TestCancelBeforeTheStart",
    "TestCancelInAWorker",
    "TestCancelledRun",
    "TestCancelledStart",
    "TestCloseSync",
    "TestDeclaration",
    "TestEndOfItsLoop",
    "TestEventKinds",
    "TestEventReader",
    "TestEveryRunEnds",
    "TestFailure",
    "TestFullQueue",
    "TestGather",
    "TestGiveUp",
    "TestHandle",
    "TestIsolationInAWorker",
    "TestLifespanEnd",
    "TestLifespanStart",
    "TestMaxRunningInAWorker",
    "TestOutcomes",
    "TestProgressInAWorker",
    "TestRateInAWorker",
    "TestResource",
    "TestRun",
    "TestScheduler",
    "TestSend",
    "TestSerializersThatRaise",
    "TestShutdown",
    "TestStopTwice",
    "TestSubscribe",
    "TestSyncHandle",
    "TestSyncMistakes",
    "TestSyncSend",
    "TestThreadCancel",
    "TestThreadErrors",
    "TestThreadStop",
    "TestThreadTimeout",
    "TestTogetherMistakes",
    "TestUniqueSend",
    "broker",
    "consumer",
    "make_consumer",
    "open_broker",
    "worker",
]
