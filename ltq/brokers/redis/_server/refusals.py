"""What errors of a server mean: whether a call may succeed later, and how a refusal is told."""

import re
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004  redis-py's name
    MasterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.whereabouts import NowhereError, is_unknown_command
from ltq.brokers.redis._server.call import Call, Reply
from ltq.errors import BrokerError

_PASSING = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    ClusterDownError,
    MasterDownError,
    TryAgainError,
    MovedError,
    AskError,
)

_PASSING_TEXTS = re.compile(
    r"(^|[\s-])(BUSY|LOADING|READONLY|MISCONF|NOREPLICAS|UNBLOCKED|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK)\b"
)
"""The same for a script that fails halfway: the server then wraps the error in another one."""

_MISREAD = (ValueError, TypeError, LookupError, AttributeError)
"""What is raised while a reply of the wrong shape is read."""

R = TypeVar("R")

_SENTINEL = "; a sentinel is named by redis+sentinel://HOST:PORT/NAME-OF-THE-MASTER"
_UNDECLARED = (
    "; LTQ's scripts use keys that they do not declare, so let the server allow that "
    "(Dragonfly: --default_lua_flags=allow-undeclared-keys)"
)

_FINAL = (AuthenticationError, AuthorizationError)


CLOSINGS = 3
"""How often in a row the server closes the connection upon a large call, but answers other calls,
until that counts as a refusal."""


@dataclass(slots=True)
class Failed:
    """The last error of a call that is being repeated."""

    error: RedisError
    closings: int = 0
    """How often the server closed the connection instead of a reply."""


class RefusedError(BrokerError):
    """The server refused the call. Repeating it would not help."""

    is_refusal = True
    is_away = False


class WrongTypeError(RefusedError):
    """A key has a value of another type."""


class TooFewReplicasError(BrokerError):
    """It was done, but fewer replicas than wanted have it. Repeating a send is safe."""

    is_away = False


class LockedOutError(RefusedError):
    """User, password, TLS files or the broker's URL are wrong: every call is refused until then."""

    is_refusal = False


def is_passing(error: RedisError) -> bool:
    """Whether the same call may succeed later: after a restart, a failover, a slow script."""
    if isinstance(error, _FINAL):
        return False
    return isinstance(error, _PASSING) or bool(_PASSING_TEXTS.search(str(error)))


def is_lasting(error: Exception) -> bool:
    """Whether an error also concerns the calls that wait: the server cannot be reached."""
    return isinstance(error, BrokerError) and not isinstance(
        error, RefusedError | TooFewReplicasError
    )


def told(error: Exception) -> str:
    """What an error says. The texts of MOVED and ASK are only numbers and addresses."""
    if not isinstance(error, AskError):  # MOVED is one, too
        return str(error)
    at, is_there = f"{error.host}:{error.port}", isinstance(error, MovedError)
    return f"slot {error.slot_id} {'has moved' if is_there else 'is on its way'} to {at}"


def too_late(
    server: str,
    patience: float,
    failed: Failed | None,
    *,
    at: Address | None = None,
) -> BrokerError:
    """What a call raises that was not answered within `patience` seconds, after it `failed`.

    `at` is where it was made, if `server` names several.
    """
    error = None if failed is None else failed.error
    silent = "no answer" if at is None else f"no answer from {at}"
    reason = (error is not None and told(error)) or silent
    if failed is not None and failed.closings >= CLOSINGS:
        reason += "; its client-output-buffer-limit may be too small for the reply"
    return BrokerError(f"Redis at {server} did not reply within {patience:g} s: {reason}")


def unanswered(error: RedisError, server: str) -> BrokerError:
    """What is raised when something that is not repeated has failed."""
    if is_passing(error):
        return BrokerError(f"Redis at {server} did not reply: {told(error)}")
    return refusal(error, server)


def refusal(error: Exception, server: str, cluster_url: str = "") -> RefusedError:
    """What a call raises that a server has refused with an error; `server` is its address.

    `cluster_url` is how it could be called as a node of a cluster.
    """
    if isinstance(error, NowhereError):
        return LockedOutError(f"Redis at {server} cannot be called: {error}")
    if isinstance(error, MovedError):
        return LockedOutError(
            f"Redis at {server} is a node of a Redis Cluster: "
            f"use {cluster_url or 'redis+cluster://host:port'}"
        )
    if isinstance(error, _FINAL):
        return LockedOutError(f"Redis at {server} refused the user or password: {error}")
    kind = WrongTypeError if str(error).startswith("WRONGTYPE") else RefusedError
    told, advice = str(error), ""
    if is_unknown_command(error):
        told, advice = told.partition(",")[0], _SENTINEL  # without all its arguments
    elif "undeclared key" in told:
        advice = _UNDECLARED
    text = f"Redis at {server} refused the call: {told}{advice}"
    return kind(text)


def read(call: Call[R], reply: Reply, server: str) -> R:
    """What a reply says. Raises `RefusedError` if its shape is wrong."""
    try:
        return call.read(reply)
    except _MISREAD as error:
        text = f"Redis at {server} sent a reply to {call.title} that LTQ cannot read: {error!r}"
        raise RefusedError(text) from error  # a repeated call would be answered alike
