"""The registry of workers in Redis: a key for each worker, which ends when it is gone."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from ltq.broker import SeenWorker, WorkerEntry
from ltq.brokers._rules.constants import ANNOUNCE_AGAIN
from ltq.brokers.redis._operations.chunks import read_some
from ltq.brokers.redis._operations.registry import Registry
from ltq.brokers.redis._operations.spread import in_each, read_each
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import CALL_PATIENCE, Link
from ltq.brokers.redis._server.links import Links
from ltq.names import positions_by_namespace

_CALL_WORKERS = 200
"""Most workers read in one call."""

_SHORTEST_PATIENCE = 0.5
"""Seconds that an announcement waits at least, even if the lease is shorter."""

_encode = msgspec.json.Encoder().encode


class Announcer:
    """Announces workers. Most often that is one small command: their key lives on."""

    def __init__(self, links: Links, registry: Registry) -> None:
        self._links = links
        self._registry = registry
        self._written: dict[tuple[str, str], tuple[WorkerEntry, float]] = {}
        """By namespace and name, what was written last, and when."""
        self._asks: dict[str, bool] = {}
        """By name, whether it was asked for endings last: an idle worker asks for little."""

    async def announce(self, worker: WorkerEntry) -> bool:
        """See `WorkerRegistry.announce`."""
        patience = min(CALL_PATIENCE, max(worker.silent_after / 3, _SHORTEST_PATIENCE))
        asks = self._asks[worker.name] = not self._asks.get(worker.name, True)

        async def announce(link: Link, namespace: str) -> bool:
            if not await self._renewed(link, namespace, worker, patience):
                await self._write(link, namespace, worker, patience)
            if not asks:
                return False
            key = link.keys.endings(namespace)
            return bool(await link.call("HLEN", key, patience=patience))

        return any(await in_each(self._links, positions_by_namespace(worker.queues, str), announce))

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str]) -> None:
        """See `WorkerRegistry.leave`."""
        names = [*worker.queues, *lanes]
        for namespace in positions_by_namespace(names, str):
            self._written.pop((namespace, worker.name), None)
        self._asks.pop(worker.name, None)
        positions = positions_by_namespace(names, str)

        async def leave(link: Link, namespace: str) -> None:
            own = [names[i] for i in positions[namespace] if i >= len(worker.queues)]
            prefix = link.keys.prefix(namespace)
            await link.evaluate(calls.LeaveCall(prefix=prefix, worker=worker.name, lanes=own))

        await in_each(self._links, positions, leave)

    async def _renewed(
        self, link: Link, namespace: str, worker: WorkerEntry, patience: float
    ) -> bool:
        """Let the key live on. Returns whether that is enough."""
        written, at = self._written.get((namespace, worker.name), (None, 0.0))
        if written != worker or asyncio.get_running_loop().time() - at >= ANNOUNCE_AGAIN:
            return False
        key, gone_after = (
            link.keys.worker(namespace, worker.name),
            _milliseconds(worker.gone_after),
        )
        return bool(await link.call("PEXPIRE", key, gone_after, patience=patience))

    async def _write(
        self, link: Link, namespace: str, worker: WorkerEntry, patience: float
    ) -> None:
        await self._registry.write(namespace)  # perhaps the server was emptied
        words: list[Argument] = [worker.name, worker.gone_after, _encode(worker)]
        call = calls.AnnounceCall(prefix=link.keys.prefix(namespace), workers=words)
        await link.evaluate(call, patience=patience)
        now = asyncio.get_running_loop().time()
        self._written[namespace, worker.name] = (worker, now)


async def read_seen(links: Links, namespaces: Iterable[str]) -> list[SeenWorker]:
    """The entries of the workers that are not gone. One of several namespaces has several."""
    return [one for some in await read_each(links, namespaces, _read_seen) for one in some]


async def _read_seen(link: Link, namespace: str) -> list[SeenWorker]:
    members = await link.call("ZRANGE", link.keys.workers(namespace), 0, -1)
    names = [member.decode("utf-8", "replace") for member in members]
    found: list[SeenWorker] = []
    while names:
        prefix, most = link.keys.prefix(namespace), link.reply_limit.bytes
        call = calls.WorkersCall(prefix=prefix, most_bytes=most, names=names[:_CALL_WORKERS])
        some = await read_some(link, call)
        found += [one for one in some if one is not None]
        names = names[max(1, len(some)) :]
    return found


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
