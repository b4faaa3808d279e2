"""The Lua scripts: one file a transition, loaded by name, called by their hash.

A line `-- @include name` is replaced by `lua/_name.lua`; a script that says `DEAD_TTL` or
`MAX_DEAD` means those of `ltq.options`. No script begins with `#!lua`: Redis 7
would then refuse it whole under OOM, while finishing must go on then (a script's first write is
a removal, after which the server lets it write), and Redis 6.2 does not know that line.
"""

import hashlib
import re
from functools import cache
from importlib.resources import files

from ltq.options import DEAD_TTL, MAX_DEAD

SCRIPTS = (
    "cancel",
    "claim",
    "clear",
    "copy",
    "dead_letters",
    "examine",
    "finish",
    "fire",
    "heartbeat",
    "progress",
    "purge",
    "repair",
    "replay",
    "send",
    "states",
    "stats",
    "sweep",
)

_INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)
_CONSTANTS = {"DEAD_TTL": DEAD_TTL, "MAX_DEAD": MAX_DEAD}


def _text(name: str) -> str:
    return files("ltq.brokers.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")


@cache
def source(name: str) -> str:
    """The text of a script as the server gets it."""
    text = _INCLUDE.sub(lambda match: _text(f"_{match[1]}"), _text(name))
    constants = [f"local {key} = {value}\n" for key, value in _CONSTANTS.items() if key in text]
    return "".join(constants) + text


@cache
def sha(name: str) -> str:
    """The hash by which the server knows a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()
