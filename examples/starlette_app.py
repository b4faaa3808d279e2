"""Starlette with a sign-in of its own, and the dashboard for those who are signed in.

    ltq run examples.starlette_app:worker                                          # in one terminal
    uvicorn examples.starlette_app:app --timeout-graceful-shutdown 5               # in another

    curl -u ada:lovelace -d text='to be or not to be' http://127.0.0.1:8000/texts

The dashboard is at http://127.0.0.1:8000/ltq. Ada may change something there, Grace may only look.
Both processes use the broker of LTQ_BROKER_URL, else redis://localhost:6379.
"""

import base64
import binascii
import hmac

from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

import ltq
from ltq.web import Access, dashboard

worker = ltq.Worker("words")

USERS = {"ada": "lovelace", "grace": "hopper"}
"""Only for this example: a real site keeps hashes."""


@worker.task(max_tries=3)
async def longest(text: str) -> str:
    """The longest word of a text."""
    return max(text.split(), key=len, default="")


class Basic(AuthenticationBackend):
    """Signs in by name and password, sent with each request."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        """Who sends a request. Raises `AuthenticationError` for all others."""
        try:
            text = base64.b64decode(conn.headers["authorization"].partition(" ")[2]).decode()
        except (KeyError, binascii.Error, UnicodeDecodeError) as error:
            raise AuthenticationError("sign in first") from error
        name, _, password = text.partition(":")
        if not hmac.compare_digest(USERS.get(name, "").encode(), password.encode()) or not password:
            raise AuthenticationError("wrong name or password")
        return AuthCredentials(["authenticated"]), SimpleUser(name)


def ask_again(_: HTTPConnection, error: Exception) -> Response:
    """Let the browser ask for name and password."""
    headers = {"www-authenticate": 'Basic realm="words"'}
    return PlainTextResponse(str(error), 401, headers)


async def send(request: Request) -> Response:
    """Send a text to the workers."""
    form = await request.form()
    handle = await longest.send(str(form.get("text", "")))
    return JSONResponse({"id": handle.id}, 202)


def who_may(request: Request) -> Access:
    """What somebody may do in the dashboard, and the name for its log."""
    name = request.user.display_name
    return Access("write" if name == "ada" else "read", name)


app = Starlette(
    routes=[
        Route("/texts", send, methods=["POST"]),
        Mount("/ltq", dashboard(worker, authorize=who_may)),
    ],
    middleware=[Middleware(AuthenticationMiddleware, backend=Basic(), on_error=ask_again)],
)
