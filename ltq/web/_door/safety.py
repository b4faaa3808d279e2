"""What each request and each answer must have, whoever sends it."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1024 * 1024
"""Most bytes of what a form sends."""

_CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": _CSP,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer."""


def failed(_: Request, __: Exception) -> Response:
    """The answer where our code or the user's has failed: the server logs the error itself.

    It is made outside of all middleware.
    """
    text = "This page failed. The log of the server says why.\n"
    return PlainTextResponse(text, 500, {**HEADERS, "cache-control": "no-store"})


_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class HeadersMiddleware:
    """Adds `HEADERS`, and lets nothing be cached that does not say that it may."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimitMiddleware:
    """Refuses a request with more than `MAX_BODY` bytes, before they are all read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            answer = PlainTextResponse(f"Refused: more than {MAX_BODY} bytes.\n", 413)
            await answer(scope, receive, send)
            return
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(413, f"more than {MAX_BODY} bytes")
            return message

        await self._app(scope, receive_some, send)


class SameOriginMiddleware:
    """Refuses what would change something, unless a page of the same origin has sent it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_unsafe = scope["type"] == "http" and scope["method"] not in _SAFE_METHODS
        if is_unsafe and not is_same_origin(Headers(scope=scope)):
            answer = PlainTextResponse(
                "Refused: this request does not say that it comes from a page of this dashboard. A "
                "program has to send the header 'Origin' with the address of the dashboard.\n",
                403,
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_same_origin(headers: Headers) -> bool:
    """Whether a browser says that a page of the same origin has sent a request.

    Browsers tell it by `Sec-Fetch-Site` over HTTPS and on this machine, otherwise by `Origin`. Only
    the host of `Origin` is compared: a proxy may end HTTPS.
    """
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if sites:
        return sites == ["same-origin"]
    return len(origins) == 1 and _host_of(origins[0]) == headers.get("host", "").lower() != ""


def _host_of(origin: str) -> str:
    """With its port; empty if it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class LoopbackMiddleware:
    """Answers only requests whose `Host` is this machine.

    A page elsewhere may let its own name stand for 127.0.0.1, and would then be of the same origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_loopback_host(Headers(scope=scope).get("host", "")):
            answer = PlainTextResponse(
                "Refused: without a password this dashboard answers only to localhost and "
                "127.0.0.1. `ltq web --auth FILE` lets others in.\n",
                421,
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_loopback_host(host: str) -> bool:
    """Whether a `Host` header, with or without a port, names this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name)


def is_loopback(name: str) -> bool:
    """Whether a name or an address is that of this machine, for itself only."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
