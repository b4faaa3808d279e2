"""The set of namespaces on a server, where tools find all queues and tasks."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.redis._operations.spread import Namespaces
from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.refusals import RefusedError, WrongTypeError
from ltq.errors import BrokerError

logger = logging.getLogger("ltq.broker")

_WRITTEN_WITHIN = 0.1
"""Seconds that are waited until a namespace is in the set of a cluster, where another node may have
that set."""

_CLOSED_WITHIN = 1.0
"""The same when the broker is closed."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Registry(Service):
    """Adds each namespace to the set once, and again if the server may have been emptied.

    In a cluster it does so in the background: the set may be on a node that is away, and what is
    sent to other nodes does not need it.
    """

    def __init__(self, links: Links) -> None:
        super().__init__("ltq-redis-registry", logger)
        self._links = links
        self._link = links.at(links.keys.namespaces)
        self._added: set[str] = set()
        self._missing: set[str] = set()
        """Those that are to be written in the background."""

    def __contains__(self, namespace: str) -> bool:
        """Whether a namespace has been added. On the way of each send, this spares a coroutine."""
        return namespace in self._added

    async def add(self, namespace: str) -> None:
        """Add a namespace before something is sent to it. Raises `BrokerError`."""
        if namespace not in self._added:
            await self.write(namespace)

    async def write(self, namespace: str) -> None:
        """Add a namespace, also if it was added before: perhaps the server was emptied.

        Raises `BrokerError`.
        """
        if self._links.is_split:
            self._missing.add(namespace)
            self.start()
            await self.drain(_WRITTEN_WITHIN)
        else:
            await _write(self._link, [namespace])
        self._added.add(namespace)

    async def serve(self, namespace: str, lanes: Sequence[str], duration: float) -> None:
        """Say that a live consumer serves lanes for `duration` seconds. Raises `BrokerError`.

        A server that refuses to store that (its memory is full) does not keep it from claiming.
        """
        with suppress(RefusedError):
            await self.write(namespace)  # perhaps the server was emptied
            prefix = self._links.keys.prefix(namespace)
            call = calls.ServeCall(prefix=prefix, duration=duration, lanes=[*lanes])
            await self._links.of(namespace).evaluate(call)

    async def add_again(self, namespace: str) -> None:
        """Add a namespace again, after a task was sent to a new queue.

        An error does not matter: the task has been sent, and the next send adds the namespace.
        """
        self._added.discard(namespace)
        with suppress(BrokerError):
            await self.add(namespace)

    async def read(self) -> Namespaces:
        """All namespaces in the set, sorted. In a cluster that has lost it for now, those of here.

        Raises `BrokerError`.
        """
        lost: BrokerError | None = None
        try:
            members = await self._link.call("SMEMBERS", self._links.keys.namespaces)
        except BrokerError as error:
            if not (self._links.is_split and self._added):
                raise
            members, lost = [], error
        found = {member.decode("utf-8", "replace") for member in members}
        return Namespaces(sorted(found | self._added if self._links.is_split else found), lost)

    async def aclose(self) -> None:
        """Stop, after a moment in which what is missing may be written."""
        if not self._link.is_failing:
            await self.drain(_CLOSED_WITHIN)
        await super().aclose()

    async def _run(self) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        has_warned = False
        while self._missing:
            some = sorted(self._missing)
            try:
                await _write(self._link, some)
            except BrokerError as error:
                if error.is_away or has_warned:
                    logger.debug("namespaces could not be noted, again soon: %s", error)
                else:  # waiting alone does not help
                    has_warned = True
                    logger.warning(
                        "ltq's tools do not find the queues of %s: Redis refuses to note them, "
                        "trying again: %s",
                        ", ".join(some),
                        error,
                    )
                await asyncio.sleep(pauses.next())
            else:
                self._missing.difference_update(some)
                pauses.reset()
                has_warned = False


async def _write(link: Link, namespaces: Iterable[str]) -> None:
    """Add namespaces to the set. Raises `BrokerError`."""
    key = link.keys.namespaces
    try:
        await link.call("SADD", key, *namespaces)
    except WrongTypeError:  # a key of another type is deleted, as in `lua/_call_or_reset.lua`
        await link.call("DEL", key)
        await link.call("SADD", key, *namespaces)
