"""Whether a Redis user may do what LTQ needs, tried out without changing anything."""

import re
from dataclasses import dataclass
from typing import Any

from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.script import Script
from ltq.brokers.redis._server.info import refusal_of_channel
from ltq.brokers.redis._server.keys import keyspace
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import LockedOutError, RefusedError
from ltq.brokers.redis._server.trials import ABSENT, STRING, TRIALS
from ltq.errors import BrokerError
from ltq.names import new_id

_TTL = 10_000
"""Milliseconds after which the key of the trial expires, if it may not be deleted."""

_DENIED = re.compile(r"NOPERM|no permissions|unknown command", re.IGNORECASE)
_KEYS = re.compile(r"\bkeys?\b", re.IGNORECASE)
_CHANNELS = re.compile(r"\bchannels?\b", re.IGNORECASE)

_TRIAL_PATIENCE = 1.0
"""Seconds for one trial."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may not do, as far as it was tried out."""

    denied: tuple[str, ...] = ()
    """Commands the user may not use."""
    scripts: tuple[str, ...] = ()
    """Scripts the user may not run."""
    no_keys: bool = False
    """Whether the user has no access to keys that begin with the root and a colon."""
    channels: tuple[str, ...] = ()
    """Patterns of channels that the user may not use, and that LTQ can do without."""
    refusal: str = ""
    """Why the server took no write, if that has nothing to do with rights: it is full."""
    root: str = "ltq"
    """What LTQ's keys and channels begin with."""


async def try_out(link: Link) -> Rights:
    """Try each command and script on keys made for that.

    Servers look at rights first, so only what they say about rights counts here. Raises
    `BrokerError` if the server accepts no commands now.
    """
    root = link.keys.root
    probe = link.keys.probe(link.home, new_id())
    tried = {STRING: probe, ABSENT: f"{probe}:none"}
    unwritten = await _refusal(link, "SET", tried[STRING], "1", "PX", str(_TTL))
    if _DENIED.search(unwritten):
        no_keys = bool(_KEYS.search(unwritten)) and "'set'" not in unwritten.lower()
        return Rights(() if no_keys else ("SET",), no_keys=no_keys, root=root)
    denied = []
    trials = {**TRIALS, "WAIT": ("0", "1")} if link.replicas else TRIALS
    for command, arguments in trials.items():
        refusal = await _refusal(link, command, *(tried.get(part, part) for part in arguments))
        if _DENIED.search(refusal) and not _CHANNELS.search(refusal):
            denied.append(command)
    channels = await _try_channels(link, tried[ABSENT])
    scripts = await _try_scripts(link, f"{probe}:")
    return Rights(tuple(denied), scripts, channels=channels, refusal=unwritten, root=root)


async def _try_channels(link: Link, key: str) -> tuple[str, ...]:
    """Try to use a channel of each kind."""
    own = await _refusal(link, "PUBLISH", key, "1")
    refusals = [own if _CHANNELS.search(own) else await refusal_of_channel(link, key)]
    refusals.append(await refusal_of_channel(link, keyspace(link.database, key)))
    patterns = (f"{link.keys.root}:*", "__keyspace@*")
    return tuple(
        pattern
        for pattern, refusal in zip(patterns, refusals, strict=True)
        if _DENIED.search(refusal)
    )


async def _try_scripts(link: Link, prefix: str) -> tuple[str, ...]:
    """Run the scripts that only read. The others use only commands that have been tried."""
    trials: tuple[Script[Any], ...] = (
        calls.ExamineCall(prefix=prefix, names=[]),
        calls.StatesCall(prefix=prefix, ids=[]),
        calls.StatsCall(prefix=prefix, overdue_after=0.0, queues=[]),
    )
    failed = []
    for call in trials:
        try:
            await link.evaluate(call, patience=_TRIAL_PATIENCE)
        except RefusedError as error:
            if _DENIED.search(str(error)):
                failed.append(call.name)
    return tuple(failed)


async def _refusal(link: Link, *command: str) -> str:
    """The server's text if it refuses a command, otherwise an empty one."""
    try:
        await link.call(*command, patience=_TRIAL_PATIENCE)
    except RefusedError as error:
        return told(error)
    return ""


def told(error: BrokerError) -> str:
    """What went wrong, if possible without the name of the server."""
    return str(error if isinstance(error, LockedOutError) else error.__cause__ or error)
