"""One namespace in memory."""

from dataclasses import dataclass

from ltq.broker import SeenWorker
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.slot import Heard, KeptSlot
from ltq.brokers.memory._flows import MemoryArrivals, MemoryEndings
from ltq.brokers.memory._lanes import MemoryLanes
from ltq.brokers.memory._listener import MemoryListener
from ltq.brokers.memory._places import MemoryLines, MemoryQueues, MemoryRecords, NextToken
from ltq.brokers.memory._tables import (
    MemoryChanges,
    MemoryDeadRecords,
    MemoryEndCounts,
    MemoryEndedTokens,
    MemoryHistory,
    MemoryItems,
    MemoryTable,
)


@dataclass(frozen=True, slots=True)
class Namespace:
    """The places of a namespace, and the listener that passes on what happens there."""

    places: Places
    listener: MemoryListener


def new_namespace(
    lanes_to_wake: set[str], next_token: NextToken, *, keeps_history: bool
) -> Namespace:
    """An empty namespace. `MemoryListener` and `MemoryRecords` explain the arguments."""
    lanes = MemoryLanes()
    listener = MemoryListener(lanes_to_wake, lanes.has_ready)
    records = MemoryRecords(lanes, next_token)
    places = Places(
        records=records,
        delayed=records.delayed,
        leased=records.leased,
        final=records.final,
        lanes=lanes,
        queues=MemoryQueues(records, lanes),
        lines=MemoryLines(records, lanes),
        dead=MemoryDeadRecords(),
        fingerprints=MemoryTable[str](),
        served=MemoryTable[float](),
        workers=MemoryTable[SeenWorker](),
        slots=MemoryTable[KeptSlot](),
        schedule_changes=MemoryChanges(),
        schedulers=MemoryTable[Heard](),
        endings=MemoryEndings(),
        arrivals=MemoryArrivals(),
        items=MemoryItems(),
        ended_tokens=MemoryEndedTokens(),
        end_counts=MemoryEndCounts(),
        history=MemoryHistory() if keeps_history else None,
        listener=listener,
    )
    return Namespace(places, listener)
