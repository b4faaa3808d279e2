"""Letting requests in: what stands at the door of a dashboard."""

import inspect
from collections.abc import Sequence
from typing import Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.web.access import Access, Authorize

_ACCESS = "ltq.web.access"


class Gate(Protocol):
    """Decides who comes in."""

    async def access(self, request: Request) -> Access | None:
        """What the one who sends a request may do; None for nothing."""
        ...

    def refuse(self, request: Request) -> Response | None:
        """What one who may do nothing is answered; None for a page that says so."""
        ...

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Pages of its own, which everybody may see."""
        ...

    @property
    def has_sessions(self) -> bool:
        """Whether one can sign out."""
        ...


class AuthorizeGate:
    """Asks the `authorize` that a dashboard was given."""

    routes: Sequence[BaseRoute] = ()
    has_sessions: bool = False

    def __init__(self, authorize: Authorize | None) -> None:
        """Without `authorize`, what stands around the dashboard has decided. Raises
        `ConfigurationError`."""
        if authorize is not None and not callable(authorize):
            raise ConfigurationError(
                f"authorize={short_repr(authorize)} is not allowed: a function that takes a "
                'request and returns "read", "write", an Access or None; or None if what stands '
                "around the dashboard decides"
            )
        self._authorize = authorize

    async def access(self, request: Request) -> Access | None:
        """What `authorize` says. Raises `ConfigurationError` if that is nothing it may say."""
        if self._authorize is None:
            return Access("write")
        verdict = self._authorize(request)
        if inspect.isawaitable(verdict):
            verdict = await verdict
        known: object = Access(verdict) if isinstance(verdict, str) else verdict
        if known is None:
            return None
        if isinstance(known, Access) and known.level in ("read", "write"):
            return known
        raise ConfigurationError(
            f'authorize returned {short_repr(verdict)}: "read", "write", an Access or None'
        )

    def refuse(self, request: Request) -> Response | None:
        """Nothing of its own."""
        return None


def access_of(connection: HTTPConnection) -> Access | None:
    """What the one who sends a request may do. `AccessMiddleware` has found it out."""
    found = connection.scope.get(_ACCESS)
    return found if isinstance(found, Access) else None


class AccessMiddleware:
    """Asks the gate about each request."""

    def __init__(self, app: ASGIApp, gate: Gate, *, read_only: bool) -> None:
        self._app = app
        self._gate = gate
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            access = await self._gate.access(Request(scope))
            if access is not None and self._read_only:
                access = Access("read", access.name)
            scope = {**scope, _ACCESS: access}
        await self._app(scope, receive, send)
