"""The places of one namespace in the file."""

from ltq.broker import SeenWorker
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.slot import Heard, KeptSlot
from ltq.brokers.sqlite._file.database import Database
from ltq.brokers.sqlite._places.dead import SqliteDeadRecords
from ltq.brokers.sqlite._places.figures import SqliteEndCounts, SqliteHistory
from ltq.brokers.sqlite._places.flows import SqliteArrivals, SqliteEndings
from ltq.brokers.sqlite._places.items import SqliteItems
from ltq.brokers.sqlite._places.lanes import SqliteLanes
from ltq.brokers.sqlite._places.lines import SqliteLines
from ltq.brokers.sqlite._places.listener import SqliteListener
from ltq.brokers.sqlite._places.queues import SqliteQueues
from ltq.brokers.sqlite._places.records import SqliteRecords
from ltq.brokers.sqlite._places.tables import SqliteChanges, SqliteEndedTokens, SqliteTable


def new_places(database: Database, namespace: str, number: int) -> Places:
    """The places of a namespace, which has this number in the file."""
    lanes = SqliteLanes(database, number)
    queues = SqliteQueues(database, number)
    records = SqliteRecords(database, number, lanes, queues)
    lanes.read = queues.read = records.read
    return Places(
        records=records,
        delayed=records.delayed,
        leased=records.leased,
        final=records.final,
        lanes=lanes,
        queues=queues,
        lines=SqliteLines(records, database),
        dead=SqliteDeadRecords(database, number),
        fingerprints=SqliteTable(database, number, "fingerprint", str),
        served=SqliteTable(database, number, "served", float),
        workers=SqliteTable(database, number, "worker", SeenWorker),
        slots=SqliteTable(database, number, "slot", KeptSlot),
        schedule_changes=SqliteChanges(database, number),
        schedulers=SqliteTable(database, number, "scheduler", Heard),
        endings=SqliteEndings(database, number),
        arrivals=SqliteArrivals(database, number),
        items=SqliteItems(database, records),
        ended_tokens=SqliteEndedTokens(database, number),
        end_counts=SqliteEndCounts(database),
        history=SqliteHistory(database),
        listener=SqliteListener(database, namespace, lanes.has_ready),
    )
