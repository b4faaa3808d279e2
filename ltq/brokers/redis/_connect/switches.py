"""Hearing from sentinels that another server is the master now.

A master that is replaced as planned goes on for seconds until it is told, and what it accepts
meanwhile is lost. The sentinel that replaces it says so at once (`+promoted-slave`), and each one
when it knows (`+switch-master`). See
https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#pubsub-messages
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoPermissionError, RedisError

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.asking import lead_to
from ltq.brokers.redis._connect.tls import load_files

logger = logging.getLogger("ltq.broker")

_CHANNELS = ("+promoted-slave", "+switch-master")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0

_WITHIN = 3.0
"""Seconds in which a sentinel has to answer, and after which one that is silent is asked."""


class Switches(Service):
    """Listens to all sentinels, and calls `on_switch` with the address of each new master.

    One that refuses to be listened to is left alone: then connections find out by errors.
    """

    def __init__(
        self,
        sentinels: Sequence[Address],
        master: str,
        make: Callable[[], AbstractConnection],
        on_switch: Callable[[Address], Awaitable[object]],
    ) -> None:
        super().__init__("ltq-redis-switches", logger)
        self._sentinels = [*sentinels]
        self._master = master
        self._make = make
        self._on_switch = on_switch

    @property
    def may_listen(self) -> bool:
        """Whether a sentinel is left that has not refused."""
        return bool(self._sentinels)

    async def _run(self) -> None:
        await asyncio.gather(*(self._spawn(self._follow(one), str(one)) for one in self._sentinels))

    async def _follow(self, sentinel: Address) -> None:
        """Listen to one sentinel, however often the connection is lost."""
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while not self.is_stopping:
            try:
                await self._listen(sentinel, pauses)
            except NoPermissionError as error:
                logger.info("sentinel %s does not say when a master is new: %s", sentinel, error)
                self._sentinels.remove(sentinel)
                return
            except (RedisError, OSError, RuntimeError) as error:  # uvloop: "the handler is closed"
                logger.debug("lost the connection to sentinel %s: %s", sentinel, error)
            await asyncio.sleep(pauses.next())

    async def _listen(self, sentinel: Address, pauses: ExponentialBackoff) -> None:
        """Listen until the connection is lost. Raises what redis-py raises."""
        connection = self._make()
        lead_to(connection, sentinel)
        try:
            load_files(connection)
            async with asyncio.timeout(_WITHIN):
                await connection.connect()
                await connection.send_command("SUBSCRIBE", *_CHANNELS)
                await connection.read_response()
            pauses.reset()
            while True:
                match await self._receive(connection):
                    case [b"message", _, bytes(text)]:
                        await self._hear(text.decode("utf-8", "replace").split())
        finally:
            await connection.disconnect(nowait=True)

    async def _receive(self, connection: AbstractConnection) -> object:
        """One message. After a silence the sentinel has to show that it is there."""
        try:
            async with asyncio.timeout(_WITHIN):
                return await connection.read_response(disconnect_on_error=False)
        except TimeoutError:
            async with asyncio.timeout(_WITHIN):
                await connection.send_command("PING")
                return await connection.read_response()

    async def _hear(self, words: Sequence[str]) -> None:
        match words:
            case ["slave", _, host, port, "@", name, *_] if name == self._master:
                pass
            case [name, _, _, host, port] if name == self._master:
                pass
            case _:
                return
        try:
            async with asyncio.timeout(_WITHIN):
                await self._on_switch(Address(host, int(port)))
        except (RedisError, OSError) as error:  # the next call looks for the master, too
            logger.debug("the new master does not answer yet: %s", error)
