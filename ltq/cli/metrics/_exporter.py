"""A page of metrics that is read from the broker at each request."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from ltq.broker import Broker
from ltq.cli.metrics._page import Reading, page
from ltq.cli.run._address import ServerAddress
from ltq.cli.run._http import Answer, serve_http
from ltq.errors import BrokerError
from ltq.logger import get_logger

logger: logging.Logger = get_logger("cli")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NOT_HERE = b"the metrics are at /metrics\n"


class Exporter:
    """Reads a broker's metrics, and tells in the log when it does not answer, and answers again."""

    def __init__(self, broker: Broker, patience: float) -> None:
        self._broker = broker
        self._patience = patience
        self._begun = 0
        self._last: tuple[int, Reading] | None = None
        self._lock = asyncio.Lock()
        self._is_away = False

    async def read(self) -> Reading:
        """Read now. Calls during a read share the next one, so the broker has one at a time.

        It takes `patience` seconds at most, or twice that while another call reads.
        """
        begun = self._begun
        async with self._lock:
            if self._last is not None and self._last[0] > begun:
                return self._last[1]
            self._begun += 1
            number, reading = self._begun, await self._read()
            self._last = number, reading
            return reading

    async def respond(self, path: str) -> Answer:
        """Answer a request."""
        if path != "/metrics":
            status = HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND
            return Answer(status, CONTENT_TYPE, _NOT_HERE)
        return Answer(HTTPStatus.OK, CONTENT_TYPE, page(await self.read()))

    async def _read(self) -> Reading:
        begun = time.perf_counter()
        try:
            reading = await read(self._broker, self._patience)
        except BrokerError as error:
            reading = Reading(time.perf_counter() - begun, why=str(error))
        if self._is_away and reading.queues is not None:
            logger.info("the broker at %s answers", self._broker.url)
        elif reading.queues is None and not self._is_away:
            logger.warning("%s", reading.why)
        self._is_away = reading.queues is None
        return reading


async def read(broker: Broker, patience: float) -> Reading:
    """Ask a broker for `patience` seconds at most. Raises `BrokerError`."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(patience):
            queues = tuple(await broker.stats(await broker.queues()))
            workers = tuple(await broker.workers())
    except TimeoutError as error:
        raise BrokerError(f"{broker.url} does not answer within {patience:g} s") from error
    return Reading(time.perf_counter() - begun, queues, workers)


@asynccontextmanager
async def serve_page(exporter: Exporter, address: ServerAddress) -> AsyncIterator[None]:
    """Serve the page while the block runs. Raises `CommandError` if the port is taken."""

    async def start(port: int) -> asyncio.Server:
        return await serve_http(exporter.respond, address.host, port)

    server = await address.serve(start)
    logger.info("metrics at %smetrics", address.url(server.sockets[0].getsockname()[1]))
    try:
        yield
    finally:
        server.close()
