"""Finding out whether calls are silent because their connections are dead.

A NAT or a firewall may drop a connection that was idle, and tells neither side. What is sent on it
then goes nowhere, although the server can be reached.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from redis.exceptions import RedisError

from ltq._aio.service import Service
from ltq.brokers.redis._server.wire import TransportWire

_TEST_PATIENCE = 3.0
"""Seconds that a test may take, with its new connection."""

_GRACE = 0.05
"""Seconds by which a reply that was sent before may arrive after that of the test."""


class SilenceTest(Service):
    """Breaks off silent connections if the server answers a call on a new one.

    `suspects` gives the connections of calls that were silent for too long; `look_again` makes a
    call on a new connection. One on which no call was ever answered is left alone, as there the
    server itself is slow; so is one that has begun to answer.
    """

    def __init__(
        self, suspects: Callable[[], Iterable[object]], look_again: Callable[[], Awaitable[object]]
    ) -> None:
        super().__init__("ltq-redis-silence", logging.getLogger("ltq.broker"))
        self._suspects = suspects
        self._look_again = look_again
        self._is_asked = False

    def ask(self) -> None:
        """A call is silent: test soon."""
        self._is_asked = True
        self.start()

    async def _run(self) -> None:
        while self._is_asked:
            self._is_asked = False
            await self._test()

    async def _test(self) -> None:
        began = asyncio.get_running_loop().time()
        silent = [
            one
            for one in self._suspects()
            if isinstance(one, TransportWire) and one.is_silent_since(began)
        ]
        if not silent:
            return
        try:
            async with asyncio.timeout(_TEST_PATIENCE):
                await self._look_again()
                await asyncio.sleep(_GRACE)
        except (RedisError, OSError):  # the server is away, and the calls go on until they are over
            return
        for one in silent:
            if one.is_silent_since(began):
                one.break_off("the connection is silent, but others work")
