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
- A claim gives a lease with a token. An outcome, a heartbeat, progress or items of a stream change
  nothing unless their token is the task's present one.
- A lease that is not renewed within its duration is lost at the next `sweep`, which makes its task
  pending again, or buries it if it has killed too many workers. Every `claim` of a consumer sweeps,
  too. Until then the lease holds.
- Names of queues, tasks and consumers, and ids, are checked before anything else: a wrong one is a
  `ConfigurationError` (`check_name` has the rule).
- Every call may be repeated after a lost reply without doing its work twice.
"""

from ltq.broker._named.settings import configure_brokers
from ltq.broker.base import Broker, BrokerSource
from ltq.broker.checks import (
    check_envelopes,
    check_parcels,
    check_record,
    check_rerun,
    check_schedule,
    check_schedule_name,
    check_slot,
    check_task,
    check_tasks,
)
from ltq.broker.consumer_config import DEFAULT_LEASE, ConsumerConfig
from ltq.broker.feed import Feed
from ltq.broker.findings import (
    Finding,
    Severity,
    examine_queues,
    paused_text,
    stands_still,
    standstill_text,
    unserved_text,
)
from ltq.broker.history import (
    HISTORY_MINUTES,
    Historian,
    check_history,
    minute_at,
    minute_of,
    run_figures,
    wait_figures,
)
from ltq.broker.isolation import ClaimBudget, isolation_of
from ltq.broker.listing import (
    GROUPS,
    MAX_PAGE,
    Listing,
    Position,
    TaskQuery,
    task_query,
)
from ltq.broker.moving import ADOPTED_TTL, Mover, Parcel
from ltq.broker.roles import (
    DEFAULT_SCAN,
    Claim,
    Consumer,
    DeadLetters,
    Diagnostics,
    Inspector,
    Presence,
    Publisher,
    Settler,
    Watcher,
)
from ltq.broker.schedule_slots import (
    SCHEDULER_SILENT,
    SLOT_AHEAD,
    SLOT_HANDOVER,
    ScheduleSlot,
    ScheduleStore,
    SlotReceipt,
)
from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleKeeper, ScheduleRecord
from ltq.broker.schemes import parse_parameters, parse_switch, redact
from ltq.broker.selection import Selection, check_selection
from ltq.broker.steering import MAX_RERUN, Steering
from ltq.broker.transactions import Enlisted, Enlisting
from ltq.broker.worker_registry import (
    HeldTask,
    SeenWorker,
    WorkerEntry,
    WorkerRegistry,
    check_worker,
    list_workers,
)
from ltq.names import check_lanes, check_name, check_names, consumer_name, namespace_of, new_id

__all__ = [
    "ADOPTED_TTL",
    "DEFAULT_LEASE",
    "DEFAULT_SCAN",
    "GROUPS",
    "HISTORY_MINUTES",
    "MAX_PAGE",
    "MAX_RERUN",
    "SCHEDULER_SILENT",
    "SLOT_AHEAD",
    "SLOT_HANDOVER",
    "Broker",
    "BrokerSource",
    "Claim",
    "ClaimBudget",
    "Consumer",
    "ConsumerConfig",
    "DeadLetters",
    "Diagnostics",
    "Enlisted",
    "Enlisting",
    "Feed",
    "Finding",
    "HeldTask",
    "Historian",
    "Inspector",
    "KeptSchedule",
    "Listing",
    "Mover",
    "Parcel",
    "Position",
    "Presence",
    "Publisher",
    "ScheduleChanges",
    "ScheduleKeeper",
    "ScheduleRecord",
    "ScheduleSlot",
    "ScheduleStore",
    "SeenWorker",
    "Selection",
    "Settler",
    "Severity",
    "SlotReceipt",
    "Steering",
    "TaskQuery",
    "Watcher",
    "WorkerEntry",
    "WorkerRegistry",
    "check_envelopes",
    "check_history",
    "check_lanes",
    "check_name",
    "check_names",
    "check_parcels",
    "check_record",
    "check_rerun",
    "check_schedule",
    "check_schedule_name",
    "check_selection",
    "check_slot",
    "check_task",
    "check_tasks",
    "check_worker",
    "configure_brokers",
    "consumer_name",
    "examine_queues",
    "isolation_of",
    "list_workers",
    "minute_at",
    "minute_of",
    "namespace_of",
    "new_id",
    "parse_parameters",
    "parse_switch",
    "paused_text",
    "redact",
    "run_figures",
    "stands_still",
    "standstill_text",
    "task_query",
    "unserved_text",
    "wait_figures",
]
