"""A small HTTP server: one request a connection, and each answer at once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from ltq._display.errors import name_of, text_of
from ltq.logger import get_logger, printable

logger = get_logger("cli")

_CLIENT_PATIENCE = 5.0
"""Seconds that a client gets for its request, and to take the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets."""

    status: HTTPStatus
    content_type: str
    body: bytes

    def encoded(self, *, is_head: bool) -> bytes:
        """The answer as bytes; the one to a HEAD request has no body."""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if is_head else self.body)


Respond = Callable[[str], Awaitable[Answer]]
"""Called with the path of a request. It takes no longer than a client may wait."""


async def serve_http(respond: Respond, host: str, port: int) -> asyncio.Server:
    """Start a server. Raises `OSError` if the port is taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled at the end of the event loop, it just ends: asyncio would log a traceback.
        with suppress(
            OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, asyncio.CancelledError
        ):
            async with asyncio.timeout(_CLIENT_PATIENCE):
                request = await reader.readuntil(b"\r\n\r\n")
            method, path = _parse(request)
            answer = await _answer(respond, path)
            async with asyncio.timeout(_CLIENT_PATIENCE):
                writer.write(answer.encoded(is_head=method == "HEAD"))
                await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, host, port)


async def _answer(respond: Respond, path: str) -> Answer:
    """The answer to a request; if none can be made, one that says so."""
    try:
        return await respond(path)
    except Exception as error:  # whatever it is, the next request may be answered
        logger.error("no answer for %s: %s: %s", printable(path), name_of(error), text_of(error))
        body = b"there is no answer: the log says why\n"
        return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", body)


def _parse(request: bytes) -> tuple[str, str]:
    """The method and the path of a request."""
    words = request.partition(b"\r\n")[0].decode("latin-1").split(" ")
    method, target = words[0], words[1] if len(words) > 1 else ""
    return method, target.partition("?")[0]
