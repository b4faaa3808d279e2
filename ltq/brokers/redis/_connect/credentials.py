"""User and password as the caller's code says them, again for each connection."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError  # noqa: A004  redis-py's name

from ltq._display.values import short_repr
from ltq.brokers.redis._connect.whereabouts import NowhereError
from ltq.errors import ConfigurationError

T = TypeVar("T")

Credentials = tuple[str | None, str] | tuple[str | None, str, float]
"""User, password, and perhaps the seconds for which they are valid."""

AskCredentials = Callable[[], Credentials | Awaitable[Credentials]]

_SHAPE = "(user or None, password) or (user or None, password, seconds that they are valid)"

WITHIN = 2.5
"""Seconds that a coroutine has to say them: then it is named, and not the server."""


class CredentialsError(ConnectionError):
    """The caller's code did not say them. It may do so later."""


def check_credentials(given: AskCredentials | None, *, has_password: bool) -> None:
    """Raise `ConfigurationError` for what cannot be called, or stands beside a password."""
    if given is None:
        return
    if not callable(given):
        raise ConfigurationError(
            f"credentials={short_repr(type(given))} is not allowed: "
            f"a callable that returns {_SHAPE}"
        )
    if has_password:
        raise ConfigurationError(
            "credentials are given, and a user or password in the broker URL: use one of them"
        )


class ConnectionCredentials(CredentialProvider):
    """Asks for the credentials of one connection when it is opened."""

    def __init__(self, ask: AskCredentials) -> None:
        self._ask = ask
        self._ready: tuple[str, ...] | None = None
        self.valid_for: float | None = None
        """Seconds for which the last ones are valid, if that was said."""

    async def prepare(self, within: float) -> None:
        """Ask now, before the server is asked within its own time."""
        self._ready = await self._get(within)

    async def get_credentials_async(self) -> tuple[str, ...]:  # type: ignore[override]  # 1 or 2
        """What redis-py sends with AUTH."""
        ready, self._ready = self._ready, None
        return ready or await self._get(WITHIN)

    async def _get(self, within: float) -> tuple[str, ...]:
        try:
            given = self._ask()
            answer = await _within(given, within) if inspect.isawaitable(given) else given
        except CredentialsError:
            raise
        except Exception as error:  # the caller's code; its text may hold a token
            kind = type(error).__name__
            raise CredentialsError(f"could not get the credentials: {kind}") from error
        match answer:
            case (None | str() as user, str(password)) if _can_be_sent(user, password):
                self.valid_for = None
            case (None | str() as user, str(password), int() | float() as seconds) if (
                seconds > 0 and _can_be_sent(user, password)
            ):
                self.valid_for = float(seconds)
            case _:  # without a word of what it is: it may hold a password
                raise NowhereError(
                    f"`credentials` returned a {type(answer).__name__} that is not {_SHAPE}"
                )
        return (password,) if user is None else (user, password)


async def _within(given: Awaitable[T], seconds: float) -> T:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await given
    except TimeoutError as error:
        if not limit.expired():  # one of the caller's code
            raise
        raise CredentialsError(
            f"could not get the credentials: no answer within {seconds:g} s"
        ) from error


def _can_be_sent(*texts: str | None) -> bool:
    try:
        "".join(filter(None, texts)).encode()
    except UnicodeEncodeError:
        return False
    return True
