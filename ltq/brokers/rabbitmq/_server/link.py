"""A connection that is opened again whenever it was lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiormq.abc import AbstractChannel
from aiormq.connection import Connection

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.rabbitmq._server.connect import CONNECT_WITHIN, Open, connect
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError, away
from ltq.brokers.rabbitmq._server.url import UrlSettings

logger = logging.getLogger("ltq.broker")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to connect."""

_END_WITHIN = 1.0
"""Seconds that what is just being opened has when it is to be closed."""

_BLOCKED_WITHIN = 0.1
"""Seconds after which a connection that is not ready for writes is one that the server blocks."""

Opened = Callable[[Connection], Awaitable[AbstractChannel]]
"""Opens the channel of a new connection, after all that it needs was declared."""


class Link(Service):
    """One connection with one channel, for one purpose, in one event loop.

    It begins with the first use. Losing it is logged once, and so is having it again. That the
    server has refused it from the start is logged if `logs_refusals`: others tell their callers.
    """

    def __init__(
        self, settings: UrlSettings, purpose: str, opened: Opened, *, logs_refusals: bool = False
    ) -> None:
        super().__init__(f"ltq-rabbitmq-{purpose}", logger)
        self._settings = settings
        self._purpose = purpose
        self._opened = opened
        self._logs_refusals = logs_refusals
        self._open: Open | None = None
        self._channel: AbstractChannel | None = None
        self._error: AwayError | None = None
        """Why it has no connection; None if it has one, or has not tried yet."""
        self._error_to_be: AwayError | None = None
        """Why the connection that is open was given up."""
        self._was_up = False
        self.was_used = False
        """Whether something was published or taken over it."""
        self._tried = asyncio.Event()
        self._opening = asyncio.Event()
        self._is_given_up = asyncio.Event()
        """Set for a connection that is open and of no use."""

    @property
    def connection(self) -> Connection:
        """The connection. Raises `AwayError`."""
        if self._open is None:
            raise self._error or AwayError(f"{self._settings.place}: there is no connection")
        return self._open.connection

    @property
    def is_up(self) -> bool:
        """Whether it has a channel now."""
        return self._channel is not None and not self._channel.is_closed

    def is_refused(self, error: AwayError) -> bool:
        """Whether an error says that a setting or a right is wrong, as it has been from the start.

        Of a server that has taken something it is an outage as any other.
        """
        return error.is_refusal and not self.was_used

    async def channel(self) -> AbstractChannel:
        """Its channel. The first call waits for the first attempt to connect.

        Raises `AwayError`, at once if there is no connection now.
        """
        if self._channel is None or self._channel.is_closed:
            self.start()
            await self._tried.wait()
        channel = self._channel
        if channel is None or channel.is_closed:
            raise self._error or AwayError(f"{self._settings.place}: the connection was lost")
        return channel

    async def wait_up(self) -> AbstractChannel:
        """Its channel, as soon as there is one."""
        self.start()
        while self._channel is None or self._channel.is_closed:
            self._opening.clear()
            await self._opening.wait()
        return self._channel

    async def stalled(self, channel: AbstractChannel) -> None:
        """The server did not answer in time: let nobody wait for it until it is itself again.

        One that blocks the connection, because its memory or disk is full, may go on with it; any
        other gets a new connection.
        """
        if self._open is None or channel is not self._channel:
            return
        connection = self._open.connection
        self._channel = None
        try:
            await asyncio.wait_for(connection.ready(), _BLOCKED_WITHIN)
        except TimeoutError:
            self._down(
                AwayError(f"{self._settings.place}: it blocks publishers (memory or disk alarm)")
            )
            self._spawn(self._unblocked(connection, channel), "unblocked")
        except CALL_ERRORS as error:
            self._down(away(self._settings.place, self._settings.user, error))
        else:
            self._down(AwayError(f"{self._settings.place}: it does not answer in time"))
            self._is_given_up.set()

    def give_up(self, reason: str) -> None:
        """Open another connection: this one is of no use."""
        self._error_to_be = AwayError(f"{self._settings.place}: {reason}")
        self._is_given_up.set()

    def stop(self) -> None:
        """See `Service.stop`. It ends by itself, soon: `aiormq` loses some cancellations, and tells
        of others as errors."""
        self._is_stopping = True
        self._is_given_up.set()

    async def aclose(self) -> None:
        """See `Service.aclose`. The server is told."""
        self.stop()
        await self.drain(_END_WITHIN)
        await super().aclose()
        await self._close_rest()

    def abandon(self) -> None:
        """See `Service.abandon`."""
        super().abandon()
        if self._open is not None:
            self._open.abort()

    async def _run(self) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while not self.is_stopping:
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    await self._connect()
                pauses.reset()
                await self._lost(self.connection)
            except AwayError as error:
                self._down(error)
            except CALL_ERRORS as error:
                self._down(away(self._settings.place, self._settings.user, error))
            await self._close_rest()
            await self._rest(pauses.next())

    async def _rest(self, pause: float) -> None:
        """Wait until the next attempt, or the end."""
        if not self.is_stopping:
            self._is_given_up.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_given_up.wait(), pause)

    async def _connect(self) -> None:
        self._is_given_up.clear()
        self._error_to_be = None
        self._open = await connect(self._settings, f"ltq {self._purpose}")
        self._up(await self._opened(self._open.connection))

    async def _lost(self, connection: Connection) -> None:
        """Wait until there is another reason to connect: the connection or its channel is gone."""
        channel = self._channel
        assert channel is not None
        ends = [connection.closing, channel.closing]
        given_up = self._spawn(self._is_given_up.wait(), "given-up")
        await asyncio.wait([*ends, given_up], return_when=asyncio.FIRST_COMPLETED)
        given_up.cancel()
        for end in filter(asyncio.Future.done, ends):
            if not end.cancelled() and (error := end.exception()) is not None:
                raise away(self._settings.place, self._settings.user, error)
        raise self._error_to_be or AwayError(f"{self._settings.place}: the connection was closed")

    async def _close_rest(self) -> None:
        opened, self._open, self._channel = self._open, None, None
        if opened is not None:
            await opened.aclose()

    async def _unblocked(self, connection: Connection, channel: AbstractChannel) -> None:
        await connection.ready()
        is_same = self._open is not None and connection is self._open.connection
        if is_same and not channel.is_closed:
            self._up(channel)

    def _up(self, channel: AbstractChannel) -> None:
        if self._error is not None and self._was_up:
            logger.info("%s takes tasks again", self._settings.place)
        self._channel, self._error, self._was_up = channel, None, True
        self._tried.set()
        self._opening.set()

    def _down(self, error: AwayError) -> None:
        self._channel = None
        if self._error is None and not self.is_stopping:
            if not self.is_refused(error):
                logger.warning("%s; until it is back, the store alone is used", error)
            elif self._logs_refusals:
                logger.warning("%s; until that is fixed, nothing is read there", error)
        self._error = error
        self._tried.set()
