"""The broker on PostgreSQL.

What happens to every task is done by the functions in `sql/`: sending, claiming, ending, renewing.
What is rare is done by the rules of `ltq.brokers._rules`, over places in tables (`_places`), in a
transaction that has its namespace for itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ltq.broker import (
    DEFAULT_SCAN,
    Consumer,
    ConsumerConfig,
    Enlisted,
    Finding,
    Severity,
    WorkerEntry,
    check_envelopes,
    check_lanes,
    check_names,
    check_task,
    check_tasks,
    check_worker,
    examine_queues,
)
from ltq.broker.feed import Feed
from ltq.broker.flows import WaitingTask
from ltq.brokers._calls import StoreBroker
from ltq.brokers._rules.store import Store
from ltq.brokers._sessions import Sessions
from ltq.brokers.postgres._consumer import PostgresConsumer
from ltq.brokers.postgres._enlist.enlisted import PostgresEnlisted
from ltq.brokers.postgres._enlist.lend import lend
from ltq.brokers.postgres._operations import examine, reading, settle
from ltq.brokers.postgres._operations.sweep import sweep
from ltq.brokers.postgres._schema.migrate import script
from ltq.brokers.postgres._server.url import parse_url
from ltq.brokers.postgres._session import Session
from ltq.errors import BrokerError
from ltq.message import Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.names import namespace_of, positions_by_namespace
from ltq.state import Items, Progress, TaskState

T = TypeVar("T")


class PostgresBroker(StoreBroker):
    """Tasks in PostgreSQL 13 or newer: `postgresql://user:password@host:5432/database`.

    `schema=ltq` names the schema, which `ltq migrate` makes; with `migrate=auto` the first call
    does. `history` and `list_final` are as for Redis. All other parameters are libpq's, such as
    `sslmode`. Raises `ConfigurationError` for a URL that cannot be read. Calls raise `BrokerError`.
    """

    def __init__(self, url: str) -> None:
        self._given = url
        self._settings = parse_url(url)
        self.lists_final: bool = self._settings.lists_final
        self._sessions = Sessions[Session]()

    @property
    def url(self) -> str:
        """Its URL, without user, password, and parameters other than the schema."""
        return self._settings.url

    def clone(self) -> "PostgresBroker":
        """Another broker on the same schema, with connections of its own."""
        return PostgresBroker(self._given)

    @property
    def migration(self) -> str:
        """See `Broker.migration`: a script for `psql`."""
        return script(self._settings.schema)

    async def migrate(self) -> bool:
        """See `Broker.migrate`."""
        return await self._here().link.migrate()

    def enlist(self, connection: object) -> Enlisted:
        """See `Enlisting.enlist`: a connection to the broker's database.

        That is a `Connection` or `AsyncConnection` of psycopg 3; a `Connection` or `Session` of
        SQLAlchemy over psycopg 3, or one of its `asyncio` kind; or Django's `connection`.
        """
        return PostgresEnlisted(lend(connection), self._settings)

    async def ping(self) -> None:
        """Raise `BrokerError` if the server or the schema cannot be used."""
        await self._here().link.query("SELECT number FROM ltq.version")

    async def time(self) -> float:
        """See `ScheduleStore.time`."""
        now = "SELECT extract(epoch FROM clock_timestamp())::float8"
        ((time,),) = await self._here().link.query(now)
        return float(time)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`."""
        check_envelopes(envelopes)
        session = self._here()
        if len(envelopes) == 1:
            sender = session.sender(namespace_of(envelopes[0].queue))
            return [await sender.send_soon(envelopes[0])]
        answers: dict[int, Published] = {}
        for namespace, indexes in positions_by_namespace(envelopes, lambda one: one.queue).items():
            some = [envelopes[index] for index in indexes]
            sent = await session.sender(namespace).send_all(some)
            answers.update(zip(indexes, sent, strict=True))
        return [answers[index] for index in range(len(envelopes))]

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        """See `Presence.serve`."""
        once = list(dict.fromkeys(check_lanes(lanes)))
        await self._here().link.call("serve", once, duration)

    async def announce(self, worker: WorkerEntry) -> bool:
        """See `WorkerRegistry.announce`."""
        check_worker(worker)
        return await settle.announce(self._here().link, worker)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        """See `Settler.finish`."""
        return await settle.finish(self._here().link, outcomes)

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        """See `Settler.heartbeat`."""
        return await settle.heartbeat(self._here().link, leases, duration)

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """See `Settler.progress`."""
        return await settle.progress(self._here().link, lease, progress)

    async def append(self, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
        """See `Settler.append`."""
        return await settle.append(self._here().link, lease, first, items, most)

    async def sweep(self, queues: Iterable[str]) -> Swept:
        """See `Settler.sweep`."""
        namespaces = dict.fromkeys(map(namespace_of, check_names("queue", queues)))
        return await sweep(self._here().link, namespaces)

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        ids = check_tasks(queue, ids)
        return await reading.states(self._here().link, namespace_of(queue), ids)

    async def items(
        self, queue: str, task_id: str, *, attempt: int = 0, after: int = 0, limit: int = 1000
    ) -> Items | None:
        """See `Watcher.items`."""
        check_task(queue, task_id)
        link, namespace = self._here().link, namespace_of(queue)
        return await reading.items(link, namespace, task_id, attempt, after, limit)

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        """See `Flows.held`."""
        check_task(queue, task_id)
        return await reading.held(self._here().link, namespace_of(queue), task_id, slots)

    def feed(self, queue: str, task_id: str) -> Feed:
        """See `Watcher.feed`."""
        check_task(queue, task_id)
        return self._here().watching.feed(queue, task_id)

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        """See `Broker.open_consumer`."""
        session = self._here()
        return PostgresConsumer(session.link, session.ears, config)

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """See `Diagnostics.examine`. There is nothing to scan."""
        server = await examine.examine(self._here().link)
        try:
            return [*server, *examine_queues(await self.stats(await self.queues()))]
        except BrokerError:
            if all(one.severity is Severity.OK for one in server if one.name == "locks"):
                raise
            return server  # which says why

    async def hazards(self) -> list[str]:
        """See `Broker.hazards`: settings by which a crash loses tasks."""
        return examine.hazards(await examine.settings(self._here().link))

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again.

        If this is cancelled the closing goes on, and a repeated call waits for its end.
        """
        await self._sessions.aclose()

    async def _run(self, step: Callable[[Store], T]) -> T:
        return await self._here().link.run(step)

    def _here(self) -> Session:
        """The session of the running event loop, made at its first use in this loop and process."""
        return self._sessions.here(lambda: Session(self._settings))
