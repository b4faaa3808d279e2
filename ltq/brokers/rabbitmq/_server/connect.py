"""Opening a connection."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from typing import Any
from urllib.parse import quote

from aiormq import spec
from aiormq.connection import Connection, TransportFactory
from aiormq.exceptions import ConnectionNotAllowed, InvalidFrameError
from pamqp.frame import unmarshal
from yarl import URL

from ltq._aio.service import drop_error, spawn
from ltq.brokers.rabbitmq._server.errors import CALL_ERRORS, AwayError, away
from ltq.brokers.rabbitmq._server.quiet import keep_quiet
from ltq.brokers.rabbitmq._server.url import UrlSettings

CONNECT_WITHIN = 4.0
"""Seconds that an attempt to connect may take, with all that is declared."""

CLOSE_WITHIN = 1.0
"""Seconds that a server may take to say goodbye."""

_BUFFER = 1 << 20
"""Bytes that are read ahead."""

_OLDEST = (3, 8)
"""The first version with quorum queues."""


class _Opened(TransportFactory):
    """Gives a connection the socket that is open already: how that failed is not its business."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._both = reader, writer

    async def create(self, *args: Any, **kwargs: Any) -> tuple[StreamReader, StreamWriter]:
        return self._both


class _Reader(StreamReader):
    """Remembers what it reads until the connection is open: `aiormq` does not tell why not."""

    def __init__(self) -> None:
        super().__init__(limit=_BUFFER)
        self.beginning: bytearray | None = bytearray()

    async def readexactly(self, n: int) -> bytes:
        data = await super().readexactly(n)
        if self.beginning is not None:
            self.beginning += data
        return data

    def reason(self) -> str:
        """Why the server closed the connection; empty if it did not say that."""
        left, reason = bytes(self.beginning or b""), ""
        while left:
            length, _, frame = unmarshal(left)
            left = left[length:]
            if isinstance(frame, spec.Connection.Close):
                reason = frame.reply_text or ""
        return reason


class _Connection(Connection):
    """One that ends without a word when its event loop does: its writer says goodbye then.

    `aiormq` does so once more, in a task that is begun too late to end.
    """

    def __init__(self, url: URL, reader: StreamReader, writer: StreamWriter) -> None:
        super().__init__(url, transport_factory=_Opened(reader, writer))
        self._owner = asyncio.current_task()

    def _on_reader_done(self, task: "asyncio.Task[None]") -> None:
        are_all_cancelled = self._owner is not None and self._owner.cancelling() > 0
        if not (task.cancelled() and are_all_cancelled):
            super()._on_reader_done(task)


class Open:
    """A connection that is open, with its socket."""

    def __init__(self, connection: Connection, writer: StreamWriter) -> None:
        self.connection = connection
        self._writer = writer

    async def aclose(self) -> None:
        """Say goodbye, and wait for the answer a moment only. If it is cancelled, not even that."""
        leaving = spawn(self.connection.close(), name="ltq-rabbitmq-leave")
        leaving.add_done_callback(drop_error)
        try:
            await asyncio.wait([leaving], timeout=CLOSE_WITHIN)
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the socket at once: whatever waits for the server notices that."""
        self._writer.transport.abort()


async def connect(settings: UrlSettings, name: str) -> Open:
    """A connection, named for those who look at the server. Raises `AwayError`."""
    keep_quiet()
    try:
        context = tls_context(settings) if settings.is_tls else None
    except (OSError, ValueError) as error:
        raise AwayError(f"{settings.place}: its TLS files: {error}", is_refusal=True) from error
    try:
        reader, writer = await _open_socket(settings, context)
        try:
            connection = _Connection(_url(settings, name), reader, writer)
            connection.vhost = settings.vhost  # `aiormq` takes "%2F" in a name for a slash
            await connection.connect()
        except InvalidFrameError as error:
            writer.transport.abort()
            raise ConnectionNotAllowed(reader.reason() or str(error)) from error
        except BaseException:
            writer.transport.abort()
            raise
        reader.beginning = None
    except CALL_ERRORS as error:
        raise away(settings.place, settings.user, error) from error
    opened = Open(connection, writer)
    version = str((connection.server_properties or {}).get("version", ""))
    if not has_quorum(version):
        await opened.aclose()
        text = f"{settings.place}: version {version} has no quorum queues, it takes 3.8 or newer"
        raise AwayError(text, is_refusal=True)
    return opened


async def _open_socket(
    settings: UrlSettings, context: ssl.SSLContext | None
) -> tuple[_Reader, StreamWriter]:
    """What `asyncio.open_connection` does, with a reader that remembers."""
    loop = asyncio.get_running_loop()
    reader = _Reader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(
        lambda: protocol, settings.host, settings.port, ssl=context
    )
    return reader, StreamWriter(transport, protocol, reader, loop)


def has_quorum(version: str) -> bool:
    """Whether a version of the server has quorum queues; one that nobody can read has."""
    numbers = version.split(".")[:2]
    return not all(map(str.isdecimal, numbers)) or (*map(int, numbers),) >= _OLDEST


def _url(settings: UrlSettings, name: str) -> URL:
    user, password = quote(settings.user, safe=""), quote(settings.password, safe="")
    vhost = quote(settings.vhost, safe="")
    place = f"amqp://{user}:{password}@{settings.address}/{vhost}"
    return URL(f"{place}?heartbeat={settings.heartbeat}&name={quote(name, safe='')}", encoded=True)


def tls_context(settings: UrlSettings) -> ssl.SSLContext:
    """How a TLS connection is made. Raises `OSError` and `ValueError` for files that are wrong."""
    files = dict(settings.files)
    context = ssl.create_default_context(cafile=files.get("cafile"))
    if "certfile" in files:
        context.load_cert_chain(files["certfile"], files.get("keyfile"))
    return context
