"""The set of namespaces on a server, where tools find all queues and tasks."""

from collections.abc import Sequence
from contextlib import suppress

from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError, WrongTypeError
from ltq.errors import BrokerError


class Registry:
    """Adds each namespace to the set once, and again if the server may have been emptied."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._added: set[str] = set()

    def __contains__(self, namespace: str) -> bool:
        """Whether a namespace has been added. On the way of each send, this spares a coroutine."""
        return namespace in self._added

    async def add(self, namespace: str) -> None:
        """Add a namespace before something is sent to it. Raises `BrokerError`."""
        if namespace not in self._added:
            await add_namespace(self._link, namespace)
            self._added.add(namespace)

    async def serve(self, namespace: str, lanes: Sequence[str], duration: float) -> None:
        """Say that a live consumer serves lanes for `duration` seconds. Raises `BrokerError`.

        A server that refuses to store that (its memory is full) does not keep it from claiming.
        """
        with suppress(RefusedError):
            await add_namespace(self._link, namespace)  # perhaps the server was emptied
            self._added.add(namespace)
            prefix = self._link.keys.prefix(namespace)
            call = calls.ServeCall(prefix=prefix, duration=duration, lanes=[*lanes])
            await self._link.evaluate(call)

    async def add_again(self, namespace: str) -> None:
        """Add a namespace again, after a task was sent to a new queue.

        An error does not matter: the task has been sent, and the next send adds the namespace.
        """
        self._added.discard(namespace)
        with suppress(BrokerError):
            await self.add(namespace)


async def add_namespace(link: Link, namespace: str) -> None:
    """Add a namespace to the set. Raises `BrokerError`."""
    try:
        await link.call("SADD", link.keys.namespaces, namespace)
    except WrongTypeError:  # a key of another type is deleted, as in `lua/_call_or_reset.lua`
        await link.call("DEL", link.keys.namespaces)
        await link.call("SADD", link.keys.namespaces, namespace)


async def read_namespaces(link: Link) -> list[str]:
    """All namespaces in the set, sorted."""
    members = await link.call("SMEMBERS", link.keys.namespaces)
    return sorted(member.decode("utf-8", "replace") for member in members)
