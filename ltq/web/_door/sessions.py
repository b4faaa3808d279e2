"""Signing in: by a form and a cookie, or by Basic with each request."""

import base64
import binascii
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ltq.logger import ThrottledLogger, get_logger, printable
from ltq.web._door.passwords import Passwords, TooManyWrongError
from ltq.web._door.paths import path_of, root_of
from ltq.web._door.safety import is_same_origin
from ltq.web._view.render import Raw, render_page
from ltq.web.access import Access

SESSION_SECONDS = 12 * 3600.0
"""Seconds that one stays signed in."""

_MOST_SESSIONS = 10_000
_WRONG = "This name and this password do not belong together."
_TOO_MANY = "Too many wrong passwords: wait a minute."

logger = get_logger("web")
_throttled = ThrottledLogger(logger)


class _Session(NamedTuple):
    name: str
    hashed: str | None
    """The hash of the password at the time of the sign-in."""
    ends: float


class PasswordGate:
    """Lets those in that sign in. Sessions are in the memory of this process."""

    has_sessions: bool = True

    def __init__(
        self,
        passwords: Passwords,
        *,
        cookie: str = "ltq_session",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cookie` is its name: browsers do not tell the ports of a host apart."""
        self._passwords = passwords
        self._cookie = cookie
        self._clock = clock
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        """By the hash of their tokens."""

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The form, and signing in and out."""
        return (
            Route("/login", self._form),
            Route("/login", self._sign_in, methods=["POST"]),
            Route("/logout", self._sign_out, methods=["POST"]),
        )

    async def access(self, request: Request) -> Access | None:
        """What somebody may do who is signed in, or gives name and password."""
        name = self._name_of(request.cookies.get(self._cookie, ""))
        if name is None:
            name = await self._basic(request)
        return None if name is None else Access("write", name)

    def refuse(self, request: Request) -> Response | None:
        """The way to the form, for a browser; else what asks for Basic."""
        is_page = request.method in ("GET", "HEAD") and "live" not in request.query_params
        wants_page = "text/html" in request.headers.get("accept", "")
        if is_page and wants_page and "authorization" not in request.headers:
            target = path_of(request.scope)
            asked = f"?{request.url.query}" if request.url.query else ""
            query = "" if target == "/" else f"?next={quote(target + asked, safe='/')}"
            return RedirectResponse(f"{root_of(request.scope)}login{query}", 303)
        headers = {"www-authenticate": 'Basic realm="ltq", charset="UTF-8"'}
        return PlainTextResponse("Sign in first.\n", 401, headers)

    async def _basic(self, request: Request) -> str | None:
        scheme, _, data = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic" or len(data) > 4096:
            return None
        try:
            text = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        name, _, password = text.partition(":")
        try:
            return name if await self._are_right(name, password) else None
        except TooManyWrongError:
            return None

    async def _are_right(self, name: str, password: str) -> bool:
        """Whether they belong together; if not, the log says so. Raises `TooManyWrongError`."""
        shown = printable(name[:100]) or "nobody"
        try:
            is_right = await self._passwords.are_right(name, password)
        except TooManyWrongError:  # quickly refused, so there may be very many of them
            _throttled.warning(
                "too many wrong passwords: a sign-in of %s was refused unread", shown
            )
            raise
        if not is_right:
            logger.warning("%s could not sign in", shown)
        return is_right

    async def _form(self, request: Request) -> Response:
        return self._login_page(request, next_path=request.query_params.get("next", ""))

    async def _sign_in(self, request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=10)
        fields = {key: value for key, value in form.items() if isinstance(value, str)}
        name, next_path = fields.get("name", ""), fields.get("next", "")
        try:
            is_right = await self._are_right(name, fields.get("password", ""))
            error, status = _WRONG, 403
        except TooManyWrongError:
            is_right, error, status = False, _TOO_MANY, 429
        if not is_right:
            return self._login_page(request, name, next_path, error, status)
        logger.info("%s signed in", printable(name))
        # The address is relative, and begins with a dot: it cannot lead elsewhere.
        response = RedirectResponse(root_of(request.scope) + next_path.lstrip("/\\"), 303)
        response.set_cookie(
            self._cookie,
            self._begin(name),
            max_age=int(SESSION_SECONDS),
            httponly=True,
            samesite="lax",
            secure=_is_secure(request),
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        self._sessions.pop(_hash(request.cookies.get(self._cookie, "")), None)
        response = RedirectResponse(f"{root_of(request.scope)}login", 303)
        response.delete_cookie(self._cookie, httponly=True, samesite="lax")
        return response

    def _begin(self, name: str) -> str:
        """The token of a new session."""
        token = secrets.token_urlsafe(32)
        ends = self._clock() + SESSION_SECONDS
        self._sessions[_hash(token)] = _Session(name, self._passwords.hash_of(name), ends)
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def _name_of(self, token: str) -> str | None:
        key = _hash(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        # Who has another password now, or is not in the file any more, signs in again.
        if session.ends > self._clock() and session.hashed == self._passwords.hash_of(session.name):
            return session.name
        del self._sessions[key]
        return None

    def _login_page(
        self,
        request: Request,
        name: str = "",
        next_path: str = "",
        error: str = "",
        status: int = 200,
    ) -> Response:
        context: dict[str, object] = {
            "root": root_of(request.scope),
            "base": "",
            "board": None,
            "boards": [],
            "path": "",
            "here": "",
            "access": None,
            "can_write": False,
            "has_sessions": True,
            "said": None,
            "is_live": False,
            "name": Raw(name[:100]),
            "next": Raw(next_path[:2000]),
            "error": error,
        }
        return HTMLResponse(render_page("login.html", context), status)


def _hash(token: str) -> bytes:
    """What is kept of a token: who reads the memory of a process gets no session by it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_secure(request: Request) -> bool:
    """Whether the browser came by HTTPS. A proxy that ended it leaves it in `Origin`."""
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or (
        is_same_origin(request.headers) and origin.startswith("https://")
    )
