"""The file that gives brokers names: `ltq.toml`, or `[tool.ltq]` in `pyproject.toml`."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ltq.errors import ConfigurationError

OWN_FILE = "ltq.toml"
SHARED_FILE = "pyproject.toml"


class ConfigFile(NamedTuple):
    """A file, and LTQ's part of it."""

    path: str
    prefix: str
    """What stands before the names of its keys: empty, or `tool.ltq.`."""
    content: object
    """What LTQ's part holds. Only the file of its own is surely a table."""


def find_file() -> ConfigFile | None:
    """The nearest file, from the current folder upwards; None if there is none.

    In one folder `ltq.toml` comes first. A folder with `.git`, the root of a repository, is the
    last one. Raises `ConfigurationError` for a file that cannot be read.
    """
    for folder in _folders():
        own, shared = os.path.join(folder, OWN_FILE), os.path.join(folder, SHARED_FILE)
        if os.path.isfile(own):
            return ConfigFile(own, "", _parse(own, _read(own)))
        if os.path.isfile(shared):
            tables = _tables_of_tools(shared)
            if "ltq" in tables:
                return ConfigFile(shared, "tool.ltq.", tables["ltq"])
    return None


def _folders() -> Iterator[str]:
    """The current folder and those above it."""
    try:
        folder = os.getcwd()
    except OSError:  # somebody has removed it
        return
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder or os.path.exists(os.path.join(folder, ".git")):
            return
        folder = above


def _tables_of_tools(path: str) -> Mapping[str, Any]:
    """`[tool]` of a file that many programs share: empty if it is not about LTQ."""
    data = _read(path)
    if b"ltq" not in data:
        return {}
    try:
        tools = _parse(path, data).get("tool")
    except ConfigurationError:
        if b"tool.ltq" in data:
            raise
        return {}  # what it says is for others to complain about
    return tools if isinstance(tools, dict) else {}


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _parse(path: str, data: bytes) -> dict[str, Any]:
    import tomllib  # only who has a file needs it

    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # some editors begin a file with a mark
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
