"""The registry of workers in Redis: a key for each worker, which ends when it is gone."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from ltq.broker import SeenWorker, WorkerEntry
from ltq.brokers._rules.constants import ANNOUNCE_AGAIN
from ltq.brokers.redis._operations.chunks import by_namespace, read_some
from ltq.brokers.redis._operations.registry import add_namespace
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import CALL_PATIENCE, Link

_CALL_WORKERS = 200
"""Most workers read in one call."""

_SHORTEST_PATIENCE = 0.5
"""Seconds that an announcement waits at least, even if the lease is shorter."""

_encode = msgspec.json.Encoder().encode


class Announcer:
    """Announces workers. Most often that is one small command: their key lives on."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._written: dict[tuple[str, str], tuple[WorkerEntry, float]] = {}
        """By namespace and name, what was written last, and when."""

    async def announce(self, worker: WorkerEntry) -> None:
        """See `WorkerRegistry.announce`."""
        patience = min(CALL_PATIENCE, max(worker.silent_after / 3, _SHORTEST_PATIENCE))
        for namespace in by_namespace(worker.queues, str):
            if not await self._renewed(namespace, worker, patience):
                await self._write(namespace, worker, patience)

    async def leave(self, worker: WorkerEntry, lanes: Sequence[str]) -> None:
        """See `WorkerRegistry.leave`."""
        names = [*worker.queues, *lanes]
        for namespace in by_namespace(names, str):
            self._written.pop((namespace, worker.name), None)
        for namespace, positions in by_namespace(names, str).items():
            own = [names[i] for i in positions if i >= len(worker.queues)]
            prefix = self._link.keys.prefix(namespace)
            await self._link.evaluate(calls.LeaveCall(prefix=prefix, worker=worker.name, lanes=own))

    async def _renewed(self, namespace: str, worker: WorkerEntry, patience: float) -> bool:
        """Let the key live on. Returns whether that is enough."""
        written, at = self._written.get((namespace, worker.name), (None, 0.0))
        if written != worker or asyncio.get_running_loop().time() - at >= ANNOUNCE_AGAIN:
            return False
        key, gone_after = (
            self._link.keys.worker(namespace, worker.name),
            _milliseconds(worker.gone_after),
        )
        return bool(await self._link.call("PEXPIRE", key, gone_after, patience=patience))

    async def _write(self, namespace: str, worker: WorkerEntry, patience: float) -> None:
        await add_namespace(self._link, namespace)  # perhaps the server was emptied
        words: list[Argument] = [worker.name, worker.gone_after, _encode(worker)]
        call = calls.AnnounceCall(prefix=self._link.keys.prefix(namespace), workers=words)
        await self._link.evaluate(call, patience=patience)
        now = asyncio.get_running_loop().time()
        self._written[namespace, worker.name] = (worker, now)


async def read_seen(link: Link, namespaces: Iterable[str]) -> list[SeenWorker]:
    """The entries of the workers that are not gone. One of several namespaces has several."""
    found: list[SeenWorker] = []
    for namespace in namespaces:
        members = await link.call("ZRANGE", link.keys.workers(namespace), 0, -1)
        names = [member.decode("utf-8", "replace") for member in members]
        while names:
            prefix, most = link.keys.prefix(namespace), link.reply_limit.bytes
            call = calls.WorkersCall(prefix=prefix, most_bytes=most, names=names[:_CALL_WORKERS])
            some = await read_some(link, call)
            found += [one for one in some if one is not None]
            names = names[max(1, len(some)) :]
    return found


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
