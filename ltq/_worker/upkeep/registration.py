"""A worker's entry in the registry: it is renewed while the worker lives."""

import asyncio
import logging
import os
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from ltq._aio.clock import Jitter, jittered
from ltq.broker import Broker, WorkerEntry
from ltq.errors import BrokerError
from ltq.names import queue_of

logger = logging.getLogger("ltq.worker")

_PART = 0.75
"""The part of a lease after which a worker is announced again: an idle one asks for little."""

_RETRY = 0.5
"""Seconds after which a failed announcement is repeated."""

_GOODBYE = 1.0
"""Most seconds to say that the worker has ended."""

_GONE_AFTER_LEASES = 10
"""How many leases a worker is silent until it is gone."""

_GONE_AFTER = 30.0
"""Fewest seconds that a worker is silent until it is gone."""


class WorkerRegistration:
    """Announces a worker to the broker, more often than once a lease (in seconds).

    `name` is that of its consumer, and `lanes` are what it serves. The heartbeat keeps it in its
    own thread: a worker with a blocked event loop is alive. `found_endings` is called in that
    thread each time the broker says that there are endings, which another worker may have left.
    """

    def __init__(
        self,
        name: str,
        lanes: Sequence[str],
        *,
        concurrency: int,
        lease: float,
        found_endings: Callable[[], object] = lambda: None,
        jitter: Jitter = jittered,
    ) -> None:
        self._name = name
        self._lanes = lanes
        self._concurrency = concurrency
        self._lease = lease
        self._found_endings = found_endings
        self._jitter = jitter
        self._entry: WorkerEntry | None = None

    async def keep(self, broker: Broker) -> None:
        """Announce the worker until cancelled. An attempt that fails is followed by another."""
        pause = 0.0
        while self._lanes:
            await asyncio.sleep(pause)
            pause = await self._announce(broker)

    async def leave(self, broker: Broker) -> None:
        """The worker has ended. If that cannot be said, it will be silent, and gone later."""
        if self._entry is not None:
            with suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await broker.leave(self._entry, self._lanes)

    async def _announce(self, broker: Broker) -> float:
        """Announce the worker; return the seconds until the next time."""
        pause = self._lease * _PART
        try:
            if self._entry is None:
                self._entry = self._new_entry(await broker.time())
            if await broker.announce(self._entry):
                self._found_endings()
        except BrokerError as error:
            logger.debug("could not announce this worker: %s", error)
            return pause if error.is_refusal else min(pause, self._jitter(_RETRY))
        except Exception:
            logger.exception("could not announce this worker")
        return pause

    def _new_entry(self, started: float) -> WorkerEntry:
        return WorkerEntry(
            name=self._name,
            host=re.sub("[^ -~]", "?", socket.gethostname())[:255],
            pid=os.getpid(),
            version=_version(),
            queues=tuple(sorted(set(map(queue_of, self._lanes)))),
            concurrency=self._concurrency,
            started=started,
            silent_after=self._lease,
            gone_after=max(_GONE_AFTER_LEASES * self._lease, _GONE_AFTER),
        )


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("ltq")
    except PackageNotFoundError:  # it runs from a folder that is not installed
        return ""
