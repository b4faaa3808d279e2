"""Whether a server sends keyspace notifications, and switching them on.

See https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/ for the flags.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Literal, cast, get_args

from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.errors import ConfigurationError

logger = logging.getLogger("ltq.broker")

Notifications = Literal["auto", "require", "poll"]
"""auto: switch them on if they are off; require: fail if they are off; poll: do without them."""

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
    """The flags of `NEEDED` that a server's setting lacks. "A" stands for all flags but KEmn."""
    present = set(flags)
    if "A" in present:
        present |= set("ghx")
    return "".join(flag for flag in NEEDED if flag not in present)


async def are_on(
    link: Link,
    wanted: Notifications,
    probe: Callable[[], Awaitable[bool]],
    *,
    is_doubted: bool = False,
    on_changed: Callable[[str], None] = lambda _: None,
) -> bool:
    """Whether the server sends notifications. With "auto" they are switched on if they are off.

    Call it for each new connection, as a restart forgets CONFIG SET. If the server refuses CONFIG,
    `probe` tries out whether they arrive; so it does if they should and `is_doubted`. `on_changed`
    gets the flags that were not enough, when they have been added to. Raises `RefusedError` if
    notifications are required and do not come, and `BrokerError` if the server cannot be asked now.
    """
    if wanted == "poll":
        return False
    is_refused = False
    try:
        missing = await _missing(link, wanted, on_changed)
        must_try = is_doubted and not missing
    except RefusedError as refused:
        logger.debug("the server refuses CONFIG: trying out notifications: %s", refused)
        missing, must_try, is_refused = NEEDED, True, True
    arrive = await probe() if must_try else not missing
    if must_try and not arrive and not is_refused and missing_flags(await _flags(link)):
        # Somebody has changed them while they were tried.
        return await are_on(link, wanted, probe, is_doubted=True, on_changed=on_changed)
    if not arrive and wanted == "require":
        what = (
            f"{_OPTION} of the server lacks {missing!r}" if missing else "no notifications arrive"
        )
        raise RefusedError(f"{what}, and the broker URL says notifications=require")
    return arrive


async def _missing(link: Link, wanted: Notifications, on_changed: Callable[[str], None]) -> str:
    """The flags that are missing, once they have been added where that is wanted.

    Raises `RefusedError` if the server refuses CONFIG.
    """
    flags = await _flags(link)
    missing = missing_flags(flags)
    if not missing or wanted == "require":
        return missing
    await link.call("CONFIG", "SET", _OPTION, flags + missing)
    on_changed(flags)
    return ""


async def _flags(link: Link) -> str:
    reply = await link.call("CONFIG", "GET", _OPTION)
    return reply[1].decode() if reply else ""
