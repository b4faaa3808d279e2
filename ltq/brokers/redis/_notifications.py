"""Whether a server sends keyspace notifications, and switching them on.

See https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/ for the flags.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Literal, cast, get_args

from ltq.brokers.redis._link import Link, RefusedError
from ltq.errors import ConfigurationError

logger = logging.getLogger("ltq.broker")

Notifications = Literal["auto", "require", "poll"]
"""auto: switch them on if they are off; require: fail if they are off; poll: do without."""

NEEDED = "Kghx"
"""Keyspace channels (K) of hashes (h), DEL and EXPIRE (g), and expired keys (x)."""

_OPTION = "notify-keyspace-events"


def parse_notifications(value: str) -> Notifications:
    """Check the parameter `notifications` of a broker's URL."""
    if value in get_args(Notifications):
        return cast(Notifications, value)
    raise ConfigurationError(
        f"notifications={value!r} is not allowed in a broker URL: auto, require or poll"
    )


def missing_flags(flags: str) -> str:
    """Those of `NEEDED` that are missing in a server's setting, where "A" means all but KEmn."""
    present = set(flags)
    if "A" in present:
        present |= set("ghx")
    return "".join(flag for flag in NEEDED if flag not in present)


async def are_on(link: Link, wanted: Notifications, probe: Callable[[], Awaitable[bool]]) -> bool:
    """Whether notifications come. With "auto" they are switched on where they are off.

    Ask at each new connection, as a restart forgets CONFIG SET. Where the server refuses CONFIG,
    `probe` tries them out. Raises `RefusedError` if they are off and required, `BrokerError` if
    the server cannot be asked now.
    """
    if wanted == "poll":
        return False
    try:
        reply = await link.call("CONFIG", "GET", _OPTION)
        flags = reply[1].decode() if reply else ""
        missing = missing_flags(flags)
        if missing and wanted == "auto":
            await link.call("CONFIG", "SET", _OPTION, flags + missing)
            missing = ""
    except RefusedError as refused:
        logger.debug("the server refuses CONFIG, so notifications are tried out: %s", refused)
        missing = "" if await probe() else NEEDED
    if missing and wanted == "require":
        raise RefusedError(
            f"{_OPTION} of the server lacks {missing!r}, and the broker URL says "
            "notifications=require"
        )
    return not missing
