"""Checking passwords: slow for those who guess, and only so often."""

import asyncio
import hashlib
import hmac
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping

import argon2

from ltq.errors import ConfigurationError

_REMEMBERED = 300.0
"""Seconds for which a right password is not hashed again: Basic sends it with each request."""

_MOST_REMEMBERED = 1000
_MOST_WRONG = 10
"""Wrong passwords for one name within `_WINDOW` seconds; after that none is looked at."""

_WINDOW = 60.0
_MOST_WAITING = 20
"""Passwords that wait to be looked at; further ones are refused, as each takes a while."""

_LONGEST = 1024
"""Most bytes of a password."""

_HASHER = argon2.PasswordHasher()


def hash_password(password: str) -> str:
    """A hash of a password, by argon2id. Raises `ConfigurationError`."""
    if not password or len(password.encode()) > _LONGEST:
        raise ConfigurationError(f"a password has 1 to {_LONGEST} bytes")
    return _HASHER.hash(password)


class TooManyWrongError(Exception):
    """Somebody guesses: for a while no password for this name is looked at, or for anybody."""


class Passwords:
    """Checks passwords. It is slow, so it works in a thread, on one at a time."""

    def __init__(
        self, users: Callable[[], Mapping[str, str]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`users` says the hashes by name, as they are at this moment."""
        self._users = users
        self._clock = clock
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._busy = asyncio.Semaphore(1)
        self._waiting = 0
        self._nobody = hash_password(os.urandom(16).hex())

    def hash_of(self, name: str) -> str | None:
        """The hash of a name; None if it may not sign in, or not any more."""
        return self._users().get(name)

    async def are_right(self, name: str, password: str) -> bool:
        """Whether this is the password of that name. Raises `TooManyWrongError`.

        An unknown name takes as long as a known one.
        """
        now = self._clock()
        mark = self._mark(name, password)
        if self._right.get(mark, 0.0) > now:
            return True
        if self._waiting >= _MOST_WAITING:
            raise TooManyWrongError(name)
        self._waiting += 1
        try:
            return await self._try(name, password, mark)
        finally:
            self._waiting -= 1

    async def _try(self, name: str, password: str, mark: bytes) -> bool:
        async with self._busy:
            now = self._clock()
            if self._is_guessed(name, now):  # only here: others may have been wrong meanwhile
                raise TooManyWrongError(name)
            known = self.hash_of(name)
            is_right = await asyncio.to_thread(_verify, known or self._nobody, password)
            is_right = is_right and known is not None
            if is_right:
                self._right[mark] = now + _REMEMBERED
                _shorten(self._right)
            else:
                self._wrong.setdefault(name, deque(maxlen=_MOST_WRONG)).append(now)
                _shorten(self._wrong)
            return is_right

    def _mark(self, name: str, password: str) -> bytes:
        """What is remembered of a right password: nothing that it could be found from."""
        text = f"{len(name)}:{name}:{self.hash_of(name)}:{password}"
        return hmac.new(
            self._secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256
        ).digest()

    def _is_guessed(self, name: str, now: float) -> bool:
        wrong = self._wrong.get(name, ())
        return sum(moment > now - _WINDOW for moment in wrong) >= _MOST_WRONG


def _shorten(remembered: OrderedDict[bytes, float] | OrderedDict[str, deque[float]]) -> None:
    while len(remembered) > _MOST_REMEMBERED:
        remembered.popitem(last=False)


def _verify(hashed: str, password: str) -> bool:
    data = password.encode("utf-8", "surrogatepass")
    if len(data) > _LONGEST:
        return False
    if hashed.startswith("$2"):
        import bcrypt  # only those who have such hashes have it

        return len(data) <= 72 and bcrypt.checkpw(data, hashed.encode())
    try:
        return _HASHER.verify(hashed, data)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
