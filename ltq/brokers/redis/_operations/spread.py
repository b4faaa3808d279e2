"""Reading from many namespaces, also while some nodes of a cluster are away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.errors import BrokerError
from ltq.logger import ThrottledLogger
from ltq.names import namespace_of

R = TypeVar("R")

_AT_ONCE = 32
"""Most namespaces that are read at once."""

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
            "left out what is in %s: the node cannot be reached (%s)", ", ".join(away), error
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
    names = ", ".join(away)
    what = f"what is in {names} is away" if names else "some namespaces are not known"
    return BrokerError(f"not found where Redis answers, and {what}: {error}")


async def _try_each(
    links: Links, namespaces: Iterable[str], read: Callable[[Link, str], Awaitable[R]]
) -> tuple[list[R], Mapping[str, BrokerError]]:
    """What `read` makes of each namespace, and those of a cluster that cannot be reached."""
    if not links.is_split:
        return [await read(links.any, namespace) for namespace in namespaces], {}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read_one(namespace: str) -> R | BrokerError:
        link = links.of(namespace)
        async with gate:
            try:
                async with asyncio.timeout(_AWAY_WITHIN if link.is_failing else None):
                    return await read(link, namespace)
            except TimeoutError:
                return BrokerError(f"Redis at {link.name} does not answer, as before")
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
    works = (work(links.of(namespace), namespace) for namespace in namespaces)
    answers = await asyncio.gather(*works, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
