"""What went wrong at RabbitMQ, in words. The password is never among them."""

import asyncio
import ssl

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)

from ltq.errors import BrokerError

CALL_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What a call to the server may raise, beside `CancelledError`. For what is closed it is a
`RuntimeError`."""

_REFUSALS = (
    AuthenticationError,
    ProbableAuthenticationError,
    ChannelAccessRefused,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    ssl.SSLCertVerificationError,
)


_NO_QUORUM = "of type 'rabbit_quorum_queue'"
"""What a server says whose feature flag for them is off."""


class AwayError(Exception):
    """RabbitMQ took nothing: it cannot be reached, or refused."""

    def __init__(self, text: str, *, is_refusal: bool = False) -> None:
        super().__init__(text)
        self.is_refusal = is_refusal
        """Whether it answered, and asks for other settings or rights."""


class RefusedError(BrokerError):
    """RabbitMQ asks for other settings or rights: waiting does not help."""

    is_away = False


def away(place: str, user: str, error: BaseException) -> AwayError:
    """What an error of a call means."""
    text = _text(user, error)
    has_no_quorum = _NO_QUORUM in text
    if has_no_quorum:
        text = f"it has no quorum queues, enable them: {text}"
    return AwayError(f"{place}: {text}", is_refusal=isinstance(error, _REFUSALS) or has_no_quorum)


def _text(user: str, error: BaseException) -> str:
    if isinstance(error, AuthenticationError | ProbableAuthenticationError):
        return f"it refuses user {user!r} with this password"
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    reply = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    if isinstance(error, OSError) and error.strerror:
        reply = error.strerror
    return reply or type(error).__name__
