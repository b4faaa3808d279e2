"""The file of who may sign in: lines `name:hash`, read again when it has changed."""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from ltq.errors import ConfigurationError
from ltq.logger import get_logger

logger: logging.Logger = get_logger("web")

_ARGON = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_NAME = re.compile(r"[^\s:\x00-\x1f\x7f]{1,100}")

_PAUSE = 1.0
"""Seconds between two looks whether the file has changed."""


class UserFile:
    """The hashes by name in a file, as it is at this moment."""

    def __init__(self, path: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `ConfigurationError` if the file is not as it has to be."""
        self._path = path
        self._clock = clock
        self._mark = _mark_of(path)  # before it is read: a change meanwhile is seen later
        self._users = read_users(path)
        self._looked = clock()

    def __call__(self) -> Mapping[str, str]:
        """The hashes by name. While the file is wrong or away, those that it had before."""
        now = self._clock()
        if now - self._looked >= _PAUSE:
            self._looked = now
            mark = _mark_of(self._path)
            if mark != self._mark:
                self._mark = mark
                self._read()
        return self._users

    def _read(self) -> None:
        try:
            self._users = read_users(self._path)
        except ConfigurationError as error:
            logger.warning("%s; the same users as before may sign in", error)
        else:
            logger.info("%s has changed: %d users may sign in", self._path, len(self._users))


def _mark_of(path: str) -> tuple[int, ...]:
    """What differs once a file was written or replaced; empty if it is away."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


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
