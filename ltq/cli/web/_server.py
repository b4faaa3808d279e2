"""Serving the dashboard until a signal comes."""

import asyncio
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.middleware import Middleware

from ltq._aio.signals import stop_on_signals
from ltq.cli.run._address import ServerAddress
from ltq.cli.web._sources import close_all
from ltq.web._app import make_app
from ltq.web._door.gate import AuthorizeGate, Gate
from ltq.web._door.paths import PrefixMiddleware
from ltq.web._door.safety import LoopbackMiddleware
from ltq.web._respond import Responder
from ltq.web._source.site import Named, make_site

_GRACE = 1
"""Seconds that requests get to end at a stop. Streams are told before."""


class DashboardServer:
    """Serves the dashboard of some brokers until it is stopped."""

    def __init__(
        self,
        sources: Sequence[Named],
        address: ServerAddress,
        *,
        gate: Gate | None = None,
        is_open: bool = False,
        read_only: bool = False,
        prefix: str = "",
    ) -> None:
        """Without a `gate` only this machine may come in, or everybody if it `is_open`.

        Raises `ConfigurationError`.
        """
        self._sources = sources
        self._address = address
        self._prefix = prefix
        site = make_site(sources, read_only=read_only, redact=None)
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
        self._responder: Responder = app.state.responder
        self._server = _Server(config)

    async def run(self, started: Callable[[str], object]) -> None:
        """Serve until SIGTERM, Ctrl-C or `stop`. `started` is called with the URL.

        At the end the brokers are closed. Raises `AddressError` if the port is taken.
        """
        host = self._address.host
        listener = await self._address.serve(lambda port: _listen(host, port))
        try:
            await self._responder.warm()
            with stop_on_signals(self.stop):
                root = self._address.url(listener.getsockname()[1])
                started(f"{root}{self._prefix[1:]}/" if self._prefix else root)
                await self._server.serve(sockets=[listener])
        finally:
            listener.close()
            await self._responder.aclose()
            await close_all(self._sources)

    def stop(self, again: bool = False) -> None:
        """End: at once, if it was told so before."""
        if not again:
            self._responder.live.end_streams()
        self._server.should_exit = True
        self._server.force_exit = again


class _Server(uvicorn.Server):
    """A server that listens to no signals itself."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing: the caller does."""
        yield


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
