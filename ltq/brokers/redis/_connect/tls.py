"""The files that a connection with TLS needs, as its URL names them."""

import os

from redis.asyncio.connection import AbstractConnection, SSLConnection

from ltq.brokers.redis._connect.whereabouts import NowhereError


class TlsFilesError(NowhereError):
    """A file that the URL names is missing or wrong. It is not an outage of the server."""


def load_files(connection: AbstractConnection) -> None:
    """Read the files of a connection, if it uses TLS. Raises `TlsFilesError`, which names one.

    Otherwise redis-py would read them when it connects, and blame the server.
    """
    if not isinstance(connection, SSLConnection):
        return
    context = connection.ssl_context
    for name in ("keyfile", "certfile", "ca_certs", "ca_path"):
        path = getattr(context, name)
        try:
            if path:
                os.scandir(path).close() if name == "ca_path" else open(path, "rb").close()
        except OSError as error:
            raise TlsFilesError(
                f"ssl_{name}={path!r} cannot be read: {error.strerror or error}"
            ) from error
    try:
        context.get()
    except (OSError, ValueError) as error:  # of OpenSSL: not the right kind of file
        raise TlsFilesError(f"its TLS files cannot be used: {error}") from error
