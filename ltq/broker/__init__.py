"""The seam between LTQ and its stores: small protocols by role, and the broker that has them all.

A broker can be used without a worker, as a reliable queue:

    async with Broker.from_url("redis://localhost:6379") as broker:
        await broker.publish([Envelope(id=new_id(), queue="email", task_name="email", body=b"{}")])
        async with broker.consumer(["email"]) as consumer:
            for delivery in await broker.claim(consumer, 10, timeout=5):
                await broker.release(delivery.lease, result=b'"sent"')

The rules are the same for every store (`ltq.testing.conformance` holds every broker to them):

- A task is in one place: ready, delayed, leased (working) or final. It moves in one atomic step.
- The broker's clock is the one that counts. Times are Unix seconds, durations are seconds.
- A claim gives a lease with a token. An outcome, a heartbeat or progress changes nothing unless
  its token is the task's present one.
- A lease that is not renewed within its duration is void: `sweep` makes its task pending again, or
  buries it if it has killed too many workers. Every `claim` of a consumer sweeps, too.
- Every call may be repeated after a lost reply without doing its work twice.
"""

from ltq.broker.base import Broker, BrokerSource
from ltq.broker.consumer_config import DEFAULT_LEASE, ConsumerConfig
from ltq.broker.feed import Feed
from ltq.broker.findings import Finding, Severity, examine_queues, stands_still
from ltq.broker.isolation import ClaimBudget, isolation_of
from ltq.broker.roles import (
    DEFAULT_SCAN,
    Claim,
    Consumer,
    DeadLetters,
    Diagnostics,
    Inspector,
    Publisher,
    Settler,
    Watcher,
)
from ltq.broker.schedule_slots import SLOT_AHEAD, ScheduleSlot, ScheduleStore, SlotReceipt
from ltq.broker.schemes import redact
from ltq.names import check_name, consumer_name, namespace_of, new_id

__all__ = [
    "DEFAULT_LEASE",
    "DEFAULT_SCAN",
    "SLOT_AHEAD",
    "Broker",
    "BrokerSource",
    "Claim",
    "ClaimBudget",
    "Consumer",
    "ConsumerConfig",
    "DeadLetters",
    "Diagnostics",
    "Feed",
    "Finding",
    "Inspector",
    "Publisher",
    "ScheduleSlot",
    "ScheduleStore",
    "Settler",
    "Severity",
    "SlotReceipt",
    "Watcher",
    "check_name",
    "consumer_name",
    "examine_queues",
    "isolation_of",
    "namespace_of",
    "new_id",
    "redact",
    "stands_still",
]
