"""The broker on Redis 6.2 or newer, or Valkey 7.2 or newer.

Each transition is one Lua script (`lua/`), so a task is always in one place. `_scripts/calls.py`
has the scripts as typed calls, `_server/keys.py` names the keys, and `lua/README.md` describes
both. The time is the server's.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from redis.asyncio import Redis

from ltq.broker import (
    DEFAULT_LEASE,
    DEFAULT_SCAN,
    Broker,
    Consumer,
    ConsumerConfig,
    Finding,
    WorkerEntry,
    check_envelopes,
    check_history,
    check_lanes,
    check_name,
    check_names,
    check_slot,
    check_task,
    check_tasks,
    check_worker,
    redact,
    task_query,
)
from ltq.broker.checks import check_rerun
from ltq.broker.feed import Feed
from ltq.broker.schedule_slots import ScheduleSlot, SlotReceipt
from ltq.broker.selection import check_selection
from ltq.brokers._sessions import Sessions
from ltq.brokers.redis._connect.addresses import AddressMap
from ltq.brokers.redis._connect.credentials import AskCredentials
from ltq.brokers.redis._consumer.consumer import RedisConsumer
from ltq.brokers.redis._doctor.examine import examine
from ltq.brokers.redis._flows import CarriesFlows
from ltq.brokers.redis._moving import MovesTasks
from ltq.brokers.redis._operations import cancel_many, dead_letters, settle, steering, tasks
from ltq.brokers.redis._operations.chunks import (
    by_chunk,
    chunks,
    envelope_size,
    queue_of_envelope,
)
from ltq.brokers.redis._operations.hazards import hazards
from ltq.brokers.redis._operations.listing import read_page
from ltq.brokers.redis._operations.repair import repair
from ltq.brokers.redis._operations.spread import Namespaces, in_each, shard_of
from ltq.brokers.redis._operations.sweep import sum_of, sweep
from ltq.brokers.redis._operations.workers import read_served, read_workers
from ltq.brokers.redis._schedules import KeepsSchedules
from ltq.brokers.redis._server.info import PING_PATIENCE, check_cluster, server_time
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.opening import Opening
from ltq.brokers.redis._session import Session
from ltq.brokers.redis._streams import KeepsItems
from ltq.brokers.redis._watch_hub import WatchHub
from ltq.errors import TaskNotFoundError
from ltq.message import DeadLetter, Envelope, Lease, Outcome, Published, Receipt, Swept
from ltq.names import namespace_of, positions_by_namespace
from ltq.state import Minute, Page, Progress, QueueStats, Status, TaskDetail, TaskState, WorkerInfo


class RedisBroker(KeepsSchedules, KeepsItems, MovesTasks, CarriesFlows, Broker):
    """Tasks in Redis, at `redis://`, `rediss://` or `unix://` URLs as redis-py reads them, or at
    `redis+sentinel://s1:26379,s2:26379/name-of-the-master/0` or `redis+cluster://h1:6379,h2:6379`
    (with TLS `rediss+...`).

    Raises `ConfigurationError` for a URL that cannot be read, or has a parameter without effect.
    The URL's parameter `notifications` says how tasks are watched: `auto` (default) switches
    keyspace notifications on if they are off, `require` raises `BrokerError` instead, and `poll`
    does without them. `busy_poll` is the number of microseconds after a call for which the event
    loop stays awake for the reply, if replies come that quickly (default 250; with 0 it sleeps).
    With `history=0` what this broker does is not counted for `history`. With `list_final=0` it does
    not list final tasks, and keeps no list of them. `prefix` is what all keys begin with instead of
    `ltq`: brokers with different ones never see each other's tasks. With `replicas=1` a send waits
    until a replica has it, and raises `BrokerError` ("stored, but on 0 replicas") if none has in
    time. `sentinel_username` and `sentinel_password` are those of the sentinels, which get no
    others. `map` is `address_map` in the URL: `10.0.0.1:6379=203.0.113.5:7001`, with commas between
    several.

    `credentials` returns user (or None) and password, perhaps with the seconds for which they are
    valid, or an awaitable of that; it is asked at each connect, and an error of it is an outage.
    `address_map` says where servers are reached whose addresses sentinels or nodes tell: a mapping
    of pairs of host and port, or a callable. `connect` makes the redis-py client of one server
    instead of the URL, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        connect: Callable[[], Redis] | None = None,
        credentials: AskCredentials | None = None,
        address_map: AddressMap | None = None,
    ) -> None:
        self._url = url
        self._opening = Opening(url, connect, credentials, address_map)
        self._clone = partial(
            RedisBroker, url, connect=connect, credentials=credentials, address_map=address_map
        )
        self._sessions = Sessions[Session]()

    @property
    def url(self) -> str:
        """Its URL, without user and password."""
        return redact(self._url)

    def clone(self) -> "RedisBroker":
        """Another broker on the same store, with connections of its own."""
        return self._clone()

    def _here(self) -> Session:
        """The session of the running event loop, made at its first use in this loop and process."""
        opening = self._opening
        return self._sessions.here(lambda: Session(opening.open_links(), opening.notifications))

    async def ping(self) -> None:
        """Raise `BrokerError` if the server does not answer or cannot do what the URL requires."""
        session = self._here()
        await session.links.any.call("PING", patience=PING_PATIENCE)
        if session.links.is_split:
            await check_cluster(session.links.any)
        await session.hubs.of(session.links.any.home).check()

    async def hazards(self) -> list[str]:
        """See `Broker.hazards`."""
        return await hazards(self._here().links)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`. Single sends that come during a call share the next one."""
        check_envelopes(envelopes)
        session = self._here()
        if len(envelopes) == 1:
            namespace = namespace_of(envelopes[0].queue)
            answer = await session.sender(namespace).send_soon(envelopes[0])
            if answer is Published.CREATED:
                session.hubs.of(namespace).note_sent(namespace, envelopes[0].id)
            return [answer]
        answers: dict[int, Published] = {}
        parts = by_chunk(chunks(envelopes, queue_of_envelope, envelope_size))

        async def send(_: Link, namespace: str) -> None:
            for chunk in parts[namespace]:
                replies = await session.sender(namespace).send([envelopes[i] for i in chunk])
                answers.update(zip(chunk, replies, strict=True))

        await in_each(session.links, parts, send)
        return [answers[i] for i in range(len(envelopes))]

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """See `Publisher.first`."""
        check_name("queue", queue)
        link = self._here().link(queue)
        key = link.keys.unique(namespace_of(queue), fingerprint)
        reply: bytes | None = await link.call("GET", key)
        return None if reply is None else reply.decode("utf-8", "replace")

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        """See `Broker.open_consumer`."""
        session, revoked = self._here(), config.revoked
        channels = [
            (session.hubs.of(namespace), session.links.keys.revoked(namespace, config.name))
            for namespace in config.namespaces
        ]
        consumer = RedisConsumer(
            session.links, session.registry, config, on_close=lambda: _unlisten(channels)
        )
        if revoked is not None:
            consumer.listening = [hub.listen(channel, revoked) for hub, channel in channels]
        return consumer

    async def serve(self, lanes: Sequence[str], duration: float) -> None:
        """See `Presence.serve`."""
        lanes, session = check_lanes(lanes), self._here()
        positions = positions_by_namespace(lanes, str)

        async def serve(_: Link, namespace: str) -> None:
            some = [lanes[i] for i in positions[namespace]]
            await session.registry.serve(namespace, some, duration)

        await in_each(session.links, positions, serve)

    async def served(self, lanes: Sequence[str]) -> list[float | None]:
        """See `Presence.served`."""
        return await read_served(self._here().links, check_lanes(lanes))

    async def announce(self, worker: WorkerEntry) -> bool:
        """See `WorkerRegistry.announce`."""
        check_worker(worker)
        return await self._here().announcer.announce(worker)

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str] = ()) -> None:
        """See `WorkerRegistry.leave`."""
        check_worker(worker)
        await self._here().announcer.leave(worker, check_lanes(lanes))

    def shard(self, queue: str) -> str:
        """See `Settler.shard`."""
        return shard_of(self._here().links, queue)

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        """See `Settler.finish`."""
        return await settle.finish(self._here().links, outcomes)

    async def heartbeat(self, leases: Sequence[Lease], duration: float) -> list[Lease]:
        """See `Settler.heartbeat`."""
        return await settle.heartbeat(self._here().links, leases, duration)

    async def progress(self, lease: Lease, progress: Progress) -> bool:
        """See `Settler.progress`."""
        return await settle.progress(self._here().link(lease.queue), lease, progress)

    async def sweep(self, queues: Iterable[str]) -> Swept:
        """See `Settler.sweep`."""
        queues = check_names("queue", queues)
        namespaces = {namespace_of(queue) for queue in queues}
        return sum_of(await in_each(self._here().links, namespaces, sweep))

    async def repair(
        self, queues: Iterable[str], *, lease: float = DEFAULT_LEASE, every: float = 0.0
    ) -> int:
        """See `Settler.repair`."""
        queues = check_names("queue", queues)
        namespaces = {namespace_of(queue) for queue in queues}
        session = self._here()
        return await repair(session.links, session.registry, namespaces, lease, every)

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        ids = check_tasks(queue, ids)
        return await tasks.read_states(self._here().link(queue), namespace_of(queue), ids)

    def feed(self, queue: str, task_id: str) -> Feed:
        """See `Watcher.feed`."""
        check_task(queue, task_id)
        return self._here().hubs.of(namespace_of(queue)).feed(queue, task_id)

    async def queues(self) -> list[str]:
        """See `Inspector.queues`."""
        return await tasks.read_queues(self._here().links, (await self._namespaces()).names)

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        queues = check_names("queue", queues)
        return await tasks.read_stats(self._here().links, queues)

    async def clear(self, queue: str) -> int:
        """See `Inspector.clear`."""
        check_name("queue", queue)
        return await tasks.clear(self._here().link(queue), queue)

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        """See `Inspector.cancel`."""
        check_task(queue, task_id)
        return await cancel_many.cancel(self._here().link(queue), queue, task_id, result_ttl)

    async def pause(self, queue: str) -> None:
        """See `Steering.pause`."""
        check_name("queue", queue)
        session = self._here()
        await steering.pause(session.link(queue), session.registry, queue)

    async def resume(self, queue: str) -> None:
        """See `Steering.resume`."""
        check_name("queue", queue)
        await steering.resume(self._here().link(queue), queue)

    async def promote(self, queue: str, ids: Sequence[str]) -> int:
        """See `Steering.promote`."""
        ids = check_tasks(queue, ids)
        return await steering.promote(self._here().link(queue), queue, ids)

    async def cancel_many(
        self,
        queue: str,
        *,
        status: Status | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        older_than: float | None = None,
    ) -> int:
        """See `Steering.cancel_many`."""
        selection = check_selection(queue, status, task_name, tag, older_than)
        return await cancel_many.cancel_many(self._here().link(queue), queue, selection)

    async def rerun(self, queue: str, ids: Sequence[str]) -> list[str]:
        """See `Steering.rerun`."""
        ids = check_rerun(queue, ids)
        return await cancel_many.rerun(self._here().link(queue), queue, ids)

    async def find(self, task_id: str) -> TaskState[bytes] | None:
        """See `Inspector.find`."""
        check_name("task id", task_id)
        return await tasks.find_state(self._here().links, await self._namespaces(), task_id)

    async def body(self, queue: str, task_id: str) -> bytes | None:
        """See `Inspector.body`."""
        check_task(queue, task_id)
        return await tasks.read_body(self._here().link(queue), namespace_of(queue), task_id)

    async def tasks(
        self,
        queue: str,
        *,
        status: Status | str | Iterable[Status | str] | None = None,
        task_name: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[TaskDetail]:
        """See `Listing.tasks`."""
        query = task_query(queue, status, task_name, tag, limit, cursor)
        return await read_page(self._here().link(query.queue), query)

    async def workers(self) -> list[WorkerInfo]:
        """See `Inspector.workers`."""
        return await read_workers(self._here().links, (await self._namespaces()).names)

    async def history(self, queue: str, minutes: int = 60) -> list[Minute]:
        """See `Historian.history`."""
        check_history(queue, minutes)
        return await tasks.read_history(self._here().link(queue), queue, minutes)

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """See `Diagnostics.examine`."""
        links = self._opening.open_links()  # a slow examination must not hold up calls
        try:
            return await examine(self, links, scan, on_scan)
        finally:
            await links.aclose()

    async def dead_letters(
        self, queue: str, *, limit: int = 100, offset: int = 0
    ) -> list[DeadLetter]:
        """See `DeadLetters.dead_letters`."""
        check_name("queue", queue)
        return await dead_letters.read(self._here().link(queue), queue, limit, offset)

    async def dead_letter(self, queue: str | None, task_id: str) -> DeadLetter:
        """See `DeadLetters.dead_letter`."""
        check_name("task id", task_id)
        if queue is not None:
            check_name("queue", queue)
            namespaces = Namespaces([namespace_of(queue)])
        else:
            namespaces = await self._namespaces()
        letter = await dead_letters.find(self._here().links, namespaces, queue, task_id)
        if letter is None:
            raise TaskNotFoundError(task_id)
        return letter

    async def replay(self, queue: str, ids: Sequence[str]) -> list[Published]:
        """See `DeadLetters.replay`."""
        ids = check_tasks(queue, ids)
        return await dead_letters.replay(self._here().link(queue), queue, ids)

    async def purge(
        self, queue: str, ids: Sequence[str] | None = None, *, older_than: float = 0.0
    ) -> int:
        """See `DeadLetters.purge`."""
        check_name("queue", queue)
        if ids is not None:
            ids = check_names("task id", ids)
        return await dead_letters.purge(self._here().link(queue), queue, ids, older_than)

    async def time(self) -> float:
        """See `ScheduleStore.time`."""
        return await server_time(self._here().links.any)

    async def fire(self, slot: ScheduleSlot) -> SlotReceipt:
        """See `ScheduleStore.fire`."""
        check_slot(slot)
        return await self._here().firer(namespace_of(slot.queue)).fire(slot)

    async def _namespaces(self) -> Namespaces:
        return await self._here().registry.read()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again.

        If this is cancelled the closing goes on, and a repeated call waits for its end.
        """
        await self._sessions.aclose()


def _unlisten(channels: Iterable[tuple[WatchHub, str]]) -> None:
    for hub, channel in channels:
        hub.unlisten(channel)
