"""The places of one namespace, for one step."""

from ltq.broker import SeenWorker
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.slot import Heard, KeptSlot
from ltq.brokers.postgres._places.dead import PostgresDeadRecords
from ltq.brokers.postgres._places.figures import PostgresEndCounts, PostgresHistory
from ltq.brokers.postgres._places.flows import PostgresArrivals, PostgresEndings
from ltq.brokers.postgres._places.items import PostgresItems
from ltq.brokers.postgres._places.lanes import PostgresLanes
from ltq.brokers.postgres._places.lines import PostgresLines
from ltq.brokers.postgres._places.listener import PostgresListener
from ltq.brokers.postgres._places.queues import PostgresQueues
from ltq.brokers.postgres._places.records import Forgotten, PostgresRecords
from ltq.brokers.postgres._places.step import Step
from ltq.brokers.postgres._places.tables import (
    PostgresChanges,
    PostgresEndedTokens,
    PostgresFingerprints,
    PostgresTable,
)


def new_places(
    step: Step,
    namespace: str,
    listener: PostgresListener,
    lanes: PostgresLanes,
    dead: PostgresDeadRecords,
) -> Places:
    """The places of a namespace."""
    queues = PostgresQueues(step, namespace)
    records = PostgresRecords(step, namespace, lanes)
    lanes.read = queues.read = records.read
    return Places(
        records=records,
        delayed=records.delayed,
        leased=records.leased,
        final=Forgotten(),
        lanes=lanes,
        queues=queues,
        lines=PostgresLines(step, records),
        dead=dead,
        fingerprints=PostgresFingerprints(step, namespace),
        served=PostgresTable(step, namespace, "served", float),
        workers=PostgresTable(step, namespace, "worker", SeenWorker),
        slots=PostgresTable(step, namespace, "slot", KeptSlot),
        schedule_changes=PostgresChanges(step, namespace),
        schedulers=PostgresTable(step, namespace, "scheduler", Heard),
        endings=PostgresEndings(step, namespace),
        arrivals=PostgresArrivals(step, namespace),
        items=PostgresItems(step, namespace),
        ended_tokens=PostgresEndedTokens(step, namespace),
        end_counts=PostgresEndCounts(step),
        history=PostgresHistory(step),
        listener=listener,
    )
