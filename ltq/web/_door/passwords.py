"""The file of who may sign in, and checking passwords against it."""

import asyncio
import hashlib
import hmac
import os
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import argon2

from ltq.errors import ConfigurationError

_ARGON = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_NAME = re.compile(r"[^\s:\x00-\x1f\x7f]{1,100}")

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


def check_user_name(name: str) -> str:
    """Return a name that may sign in. Raises `ConfigurationError`."""
    if _NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"name {name[:40]!r} is not allowed: 1 to 100 characters without spaces and colons"
    )


def read_users(path: str) -> dict[str, str]:
    """The hashes by name in a file with lines `name:hash`. Raises `ConfigurationError`.

    Empty lines, and those that begin with `#`, are left out.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"--auth {path} cannot be read: {reason}") from error
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, _, hashed = line.strip().partition(":")
            _check_line(f"{path}, line {number}", name, hashed, users)
            users[name] = hashed
    if not users:
        raise ConfigurationError(
            f"--auth {path} names nobody: each line is name:hash, as `ltq web --hash-password` "
            "prints it"
        )
    return users


def _check_line(place: str, name: str, hashed: str, known: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` for what is no `name:hash`. It shows nothing of a password."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{place}: a line is name:hash")
    if name in known:
        raise ConfigurationError(f"{place}: {name} is there twice")
    if _BCRYPT.fullmatch(hashed):
        if find_spec("bcrypt") is None:
            raise ConfigurationError(f"{place}: a bcrypt hash needs bcrypt: pip install bcrypt")
    elif not _ARGON.fullmatch(hashed):
        raise ConfigurationError(
            f"{place}: {name} has no hash of argon2id or bcrypt, and plain passwords are refused: "
            "`ltq web --hash-password` makes one"
        )


class TooManyWrongError(Exception):
    """Somebody guesses: for a while no password for this name is looked at, or for anybody."""


class Passwords:
    """Checks passwords. It is slow, so it works in a thread, on one at a time."""

    def __init__(
        self, users: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._users = dict(users)
        self._clock = clock
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._busy = asyncio.Semaphore(1)
        self._waiting = 0
        self._nobody = hash_password(os.urandom(16).hex())

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
            hashed = self._users.get(name, self._nobody)
            is_right = await asyncio.to_thread(_verify, hashed, password) and name in self._users
            if is_right:
                self._right[mark] = now + _REMEMBERED
                _shorten(self._right)
            else:
                self._wrong.setdefault(name, deque(maxlen=_MOST_WRONG)).append(now)
                _shorten(self._wrong)
            return is_right

    def _mark(self, name: str, password: str) -> bytes:
        """What is remembered of a right password: nothing that it could be found from."""
        text = f"{len(name)}:{name}:{password}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).digest()

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
    except argon2.exceptions.VerificationError:
        return False
