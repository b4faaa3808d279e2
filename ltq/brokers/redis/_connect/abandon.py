"""Closing connections without an event loop to do so."""

from contextlib import suppress
from typing import Any

from redis.asyncio.connection import AbstractConnection

from ltq.brokers.redis._connect.connections import forget_stream


def abandon_connection(connection: AbstractConnection) -> None:
    """Close a connection without waiting, in its event loop or after that was closed.

    Nothing warns then that it was left open.
    """
    writer = forget_stream(connection)  # its `disconnect` needs a running task
    if writer is not None:
        abandon_transport(getattr(writer, "transport", None))


def abandon_transport(transport: Any) -> None:
    """Close the transport of a connection in the same way."""
    try:
        transport.close()
    except Exception:  # the event loop is closed
        _close_socket(transport)
        with suppress(AttributeError):  # under TLS, there is a second transport below
            _close_socket(transport._ssl_protocol._transport)  # noqa: SLF001  it has no other name


def _close_socket(transport: Any) -> None:
    with suppress(Exception):  # it notes that it is to close; for the rest it needs its loop
        transport.close()
    if getattr(transport, "_sock", None) is not None:
        transport._sock.close()  # noqa: SLF001  as before
        transport._sock = None  # noqa: SLF001  otherwise it warns when it is collected
