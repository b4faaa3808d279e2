"""Reading from many namespaces, also while some nodes of a cluster are away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from redis.exceptions import ClusterDownError, ConnectionError  # noqa: A004  redis-py's name

from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.names import namespace_of

R = TypeVar("R")

_AT_ONCE = 32
"""Most namespaces of one server that are asked at once, each over a connection of its own."""

_MOST_NAMED = 5
"""Most namespaces that are named where some are left out."""

_AWAY_WITHIN = 0.5
"""Seconds that a node has to answer whose last calls have failed: others wait for what it says."""


class Namespaces(NamedTuple):
    """Where to look for something."""

    names: Sequence[str]
    error: BrokerError | None = None
    """Why there may be more than these, if that is not known."""


_throttled = ThrottledLogger(logging.getLogger("ltq.broker"), every=60.0)


def shard_of(links: Links, queue: str) -> str:
    """See `Settler.shard`. In a cluster each namespace has a link, and fails, by itself."""
    return namespace_of(queue) if links.is_split else ""


async def read_each(
    links: Links,
    namespaces: Iterable[str],
    read: Callable[[Link, str], Awaitable[R]],
    *,
    lacks: Callable[[Sequence[R]], bool] = lambda found: False,
) -> list[R]:
    """What `read` makes of each namespace.

    In a cluster those are left out whose nodes cannot be reached, with one warning. Raises
    `BrokerError` if that are all, or if what was found lacks something that may be there.
    """
    found, away = await _try_each(links, namespaces, read)
    if away:
        error = next(iter(away.values()))
        if not found:
            raise error
        if lacks(found):
            raise _not_found(away, error) from error
        _throttled.warning(
            "left out what is in %s: the node cannot be reached (%s)", _named(away), error
        )
    return found


async def find_in(
    links: Links, namespaces: Namespaces, find: Callable[[Link, str], Awaitable[R | None]]
) -> R | None:
    """The first thing that is found in any namespace; in a cluster they are read at once.

    Raises `BrokerError` if it may be in one that cannot be reached.
    """
    if not links.is_split:
        for namespace in namespaces.names:
            one = await find(links.any, namespace)
            if one is not None:
                return one
        return None
    answers, away = await _try_each(links, namespaces.names, find)
    found = next((one for one in answers if one is not None), None)
    error = next(iter(away.values()), namespaces.error)
    if found is None and error is not None:
        raise _not_found(away, error) from error
    return found


def _not_found(away: Iterable[str], error: BrokerError) -> BrokerError:
    names = _named(away)
    what = f"what is in {names} is away" if names else "some namespaces are not known"
    return BrokerError(f"not found where Redis answers, and {what}: {error}")


def _named(namespaces: Iterable[str]) -> str:
    names = [*namespaces]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


async def _try_each(
    links: Links, namespaces: Iterable[str], read: Callable[[Link, str], Awaitable[R]]
) -> tuple[list[R], Mapping[str, BrokerError]]:
    """What `read` makes of each namespace, and those of a cluster that cannot be reached."""
    if not links.is_split:
        return [await read(links.any, namespace) for namespace in namespaces], {}

    async def read_soon(link: Link, namespace: str) -> R:
        try:
            async with asyncio.timeout(_AWAY_WITHIN if link.is_failing else None):
                return await read(link, namespace)
        except TimeoutError:
            raise BrokerError(f"Redis at {link.name} does not answer, as before") from None

    turns = _Turns(links, read_soon)

    async def read_one(namespace: str) -> R | BrokerError:
        try:
            return await turns.take(namespace)
        except BrokerError as error:
            if error.is_refusal:
                raise
            return error

    names = [*namespaces]
    answers = await asyncio.gather(*map(read_one, names))
    found = [one for one in answers if not isinstance(one, BrokerError)]
    pairs = zip(names, answers, strict=True)
    return found, {name: one for name, one in pairs if isinstance(one, BrokerError)}


async def in_each(
    links: Links, namespaces: Iterable[str], work: Callable[[Link, str], Awaitable[R]]
) -> list[R]:
    """Do something in each namespace, in a cluster at once: none waits for a node that is away.

    Raises the first `BrokerError`, when all have ended.
    """
    if not links.is_split:
        return [await work(links.any, namespace) for namespace in namespaces]
    return await all_of(map(_Turns(links, work).take, namespaces))


async def all_of(works: Iterable[Awaitable[R]]) -> list[R]:
    """Do these at once. Raises the first error, when all have ended."""
    works = [*works]
    if len(works) == 1:  # as nearly always: this spares a task
        return [await works[0]]
    answers = await asyncio.gather(*works, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


class _Turns(Generic[R]):
    """Works in some namespaces of each server of a cluster at once.

    So a server that is away holds up what is at no other. It is waited for once: what has not had
    its turn by then fails as well.
    """

    def __init__(self, links: Links, work: Callable[[Link, str], Awaitable[R]]) -> None:
        self._links = links
        self._work = work
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._away: dict[str, BrokerError] = {}

    async def take(self, namespace: str) -> R:
        """What the work returns. Raises what it raises."""
        server = self._links.server_of(namespace)
        async with self._gates.setdefault(server, asyncio.Semaphore(_AT_ONCE)):
            server = self._links.server_of(namespace)  # by now it may be known, or another one
            known = self._away.get(server)
            if known is not None:
                raise BrokerError(str(known)) from known
            try:
                return await self._work(self._links.of(namespace), namespace)
            except BrokerError as error:
                if server == self._links.server_of(namespace) != "" and _is_of_server(error):
                    self._away[server] = error
                raise


def _is_of_server(error: BrokerError) -> bool:
    """Whether others at its server would have failed alike: not where only a slot is on its way."""
    cause = error.__cause__
    is_silent = cause is None or isinstance(cause, ConnectionError | ClusterDownError)
    return error.is_away and not error.is_refusal and is_silent
