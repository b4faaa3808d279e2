"""Calls that wait until replicas have what they wrote."""

import asyncio
from typing import Self

from msgspec.structs import replace
from redis.exceptions import RedisError

from ltq.brokers.redis._server.call import Argument, Call, R_co, Reply, pack
from ltq.brokers.redis._server.refusals import TooFewReplicasError, is_passing
from ltq.brokers.redis._server.wire import Wire
from ltq.errors import ConfigurationError

_MOST_REPLICAS = 100
"""Most replicas that a URL may ask for."""

_SLACK = 0.2
"""Seconds before the deadline of a call at which the server gives up waiting for replicas."""


def parse_replicas(value: str) -> int:
    """Read the parameter `replicas` of a broker's URL. Raises `ConfigurationError`."""
    if value.isascii() and value.isdigit() and int(value) <= _MOST_REPLICAS:
        return int(value)
    raise ConfigurationError(
        f"replicas={value!r} is not allowed in a broker URL: "
        f"how many replicas a send waits for, from 0 to {_MOST_REPLICAS}"
    )


class Replicated(Call[R_co], frozen=True):
    """A call that waits until replicas have what it wrote."""

    call: Call[R_co]
    count: int
    """How many replicas."""
    mark: str
    """A key that is written behind the call: one that is repeated may write nothing, and what it
    wrote before is copied before that key is."""
    until: float
    """When to give up waiting for replicas, by the event loop's clock."""
    is_required: bool = True
    """Whether it is an error if too few have it by then."""

    @property
    def title(self) -> str:
        return self.call.title

    def words(self) -> tuple[Argument, ...]:
        return self.call.words()

    def words_with_source(self) -> tuple[Argument, ...] | None:
        return self.call.words_with_source()

    def repeated(self) -> Self:
        return replace(self, call=self.call.repeated())

    def read(self, reply: Reply) -> R_co:
        return self.call.read(reply)

    async def exchange(self, wire: Wire, data: bytes, seconds: float, server: str) -> Reply:
        """Send the call on a wire, and wait in the same write. The reply may be an error.

        Raises `TooFewReplicasError` if too few have it in this time.
        """
        left = min(seconds, self.until - asyncio.get_running_loop().time())
        milliseconds = max(1, int((left - _SLACK) * 1000))
        data += pack(("SET", self.mark, "1", "PX", 1000)) + pack(("WAIT", self.count, milliseconds))
        reply, marked, have = await wire.call_all(data, 3)
        if isinstance(reply, Exception) or not self.is_required:
            return reply
        for one in (marked, have):
            if isinstance(one, RedisError) and not is_passing(one):  # above all, NOPERM
                raise TooFewReplicasError(
                    f"stored, but on how many replicas is not known: Redis at {server} refused to "
                    f"wait for them: {one}"
                )
            if isinstance(one, Exception):
                return one
        if have < self.count:
            raise TooFewReplicasError(
                f"stored, but on {have} replicas and not on {self.count}: no more confirmed it to "
                f"Redis at {server} in time; sending it again is safe"
            )
        return reply
