"""Asking RabbitMQ's management API."""

import asyncio
import base64
import ssl
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import Any, TypeVar, cast

import msgspec

from ltq.brokers.rabbitmq._server.api import Api

T = TypeVar("T")

_MOST_BYTES = 16 << 20
"""Most bytes of an answer that is read."""


class NotSeenError(Exception):
    """The API did not tell; the text says why."""

    def __init__(self, text: str, *, is_forbidden: bool = False) -> None:
        super().__init__(text)
        self.is_forbidden = is_forbidden
        """Whether the user may not look at it."""


class Management:
    """The API of one server. It reads only; each answer comes over a connection of its own."""

    def __init__(self, api: Api, context: ssl.SSLContext | None) -> None:
        self._api = api
        self._context = context

    async def get(self, path: str, form: type[T]) -> T:
        """What is at a path, in this form. It begins with `/api`. Raises `NotSeenError`."""
        response = await self._ask(path)
        self._check(response)
        try:
            return msgspec.json.decode(response.read(), type=form)
        except (ValueError, HTTPException) as error:
            raise NotSeenError(f"{self._api.shown} is not a management API: {error}") from error

    async def _ask(self, path: str) -> HTTPResponse:
        try:
            response = HTTPResponse(cast(Any, _Socket(await self._exchange(path))))
            response.begin()
        except (OSError, EOFError, HTTPException) as error:
            raise NotSeenError(f"{self._api.shown}: {_text(error)}") from error
        return response

    async def _exchange(self, path: str) -> bytes:
        """Everything that the server answers."""
        api = self._api
        reader, writer = await asyncio.open_connection(api.host, api.port, ssl=self._context)
        try:
            writer.write(self._request(path))
            answer = bytearray()
            while part := await reader.read(1 << 16):
                answer += part
                if len(answer) > _MOST_BYTES:
                    raise OSError(f"its answer has more than {_MOST_BYTES} bytes")
            return bytes(answer)
        finally:
            writer.transport.abort()

    def _request(self, path: str) -> bytes:
        who = base64.b64encode(f"{self._api.user}:{self._api.password}".encode()).decode()
        lines = (
            f"GET {self._api.path}{path} HTTP/1.1",
            f"Host: {self._api.host.encode('idna').decode()}:{self._api.port}",
            f"Authorization: Basic {who}",
            "Accept: application/json",
            "Connection: close",
        )
        return "\r\n".join((*lines, "", "")).encode()

    def _check(self, response: HTTPResponse) -> None:
        if response.status == 200:
            return
        if response.status in (401, 403):
            text = f"{self._api.shown} lets user {self._api.user!r} not look"
            raise NotSeenError(text, is_forbidden=True)
        text = f"{self._api.shown} answers {response.status} {response.reason}"
        raise NotSeenError(text)


class _Socket:
    """What `HTTPResponse` reads from: an answer that is there already."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._answer)


def _text(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, HTTPException | EOFError):
        return "it answers no HTTP"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
