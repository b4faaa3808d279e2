"""Serving the dashboard until a signal comes."""

import asyncio
import logging
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.middleware import Middleware

from ltq._aio.signals import stop_on_signals
from ltq.cli.run._address import ServerAddress
from ltq.cli.web._sources import Source, close_all
from ltq.logger import get_logger
from ltq.web._app import make_app
from ltq.web._door.gate import AuthorizeGate, Gate
from ltq.web._door.paths import PrefixMiddleware
from ltq.web._door.safety import LoopbackMiddleware
from ltq.web._respond import Responder
from ltq.web._source.site import Named, make_site

logger: logging.Logger = get_logger("web")

_GRACE = 1
"""Seconds that requests get to end at a stop. Streams are told before."""


async def serve(
    sources: Sequence[Source],
    address: ServerAddress,
    *,
    gate: Gate | None,
    is_open: bool,
    read_only: bool,
    prefix: str,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Without a `gate` everybody may come in who reaches it: only this machine, unless `is_open`.
    Raises `ConfigurationError`, and `AddressError` if the port is taken.
    """
    named = [Named(one.source, one.name) for one in sources]
    site = make_site(named, read_only=read_only, redact=None)
    around = [] if gate is not None or is_open else [Middleware(LoopbackMiddleware)]
    if prefix:
        around.append(Middleware(PrefixMiddleware, prefix=prefix))
    app = make_app(site, gate or AuthorizeGate(None), around=around)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    responder: Responder = app.state.responder
    server = _Server(config, lambda: responder.live.end_streams())
    listener = await address.serve(lambda port: _listen(address.host, port))
    try:
        await responder.warm()
        with stop_on_signals(server.stop):
            root = address.url(listener.getsockname()[1])
            logger.info("the dashboard is at %s%s", root, f"{prefix[1:]}/" if prefix else "")
            await server.serve(sockets=[listener])
    finally:
        listener.close()
        await responder.aclose()
        await close_all(sources)


class _Server(uvicorn.Server):
    """A server that listens to no signals itself."""

    def __init__(self, config: uvicorn.Config, before_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_stop = before_stop

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing: the caller does."""
        yield

    def stop(self, again: bool) -> None:
        """End: at once, if it was told so before."""
        if not again:
            self._before_stop()
        self.should_exit = True
        self.force_exit = again


async def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(128)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
