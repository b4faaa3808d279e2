"""`ltq run --metrics-port`: the metrics of the workers, over HTTP."""

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from ltq.cli._errors import CommandError, WrongUseError
from ltq.logger import get_logger
from ltq.middleware import Prometheus
from ltq.worker import Worker

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

logger = get_logger("cli")

_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to serve: the first free port of `count`, beginning with `port`.

    So the processes of `--processes` find one each, and a restarted one finds that of its
    predecessor, without knowing which of them they are. Port 0 is any free one.
    """

    host: str
    port: int
    count: int = 1
    option: str = "--metrics-port"
    """What the port is called on the command line."""

    def __post_init__(self) -> None:
        if self.ports[-1] > _LAST_PORT:
            raise WrongUseError(
                f"{self.option} {self.port} with {self.count} processes needs ports up to "
                f"{self.ports[-1]}: the last one there is is {_LAST_PORT}"
            )

    @property
    def ports(self) -> Sequence[int]:
        """The ports to try."""
        return range(self.port, self.port + self.count) if self.port else [0]


def measure(workers: Sequence[Worker]) -> Prometheus:
    """The workers' Prometheus middleware; those that have none get one, before all others.

    Raises `ConfigurationError` if prometheus-client is missing, `WrongUseError` if there is more
    than one registry.
    """
    found = {id(worker): _find(worker) for worker in workers}
    present = [metrics for metrics in found.values() if metrics is not None]
    metrics = present[0] if present else Prometheus()
    if any(other.registry is not metrics.registry for other in present):
        raise WrongUseError(
            "the workers' Prometheus middleware has different registries: one port serves one"
        )
    for worker in workers:
        if found[id(worker)] is None:
            worker.register_middleware(metrics, 0)
    return metrics


def _find(worker: Worker) -> Prometheus | None:
    return next((one for one in worker.middlewares if isinstance(one, Prometheus)), None)


@asynccontextmanager
async def serve(
    metrics: Prometheus, workers: Sequence[Worker], listen: Listen
) -> AsyncIterator[None]:
    """Serve the metrics, and keep the counts of the workers' queues up to date.

    Raises `CommandError` if no port is free.
    """
    server = _listen(metrics.registry, listen)
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    logger.info("metrics at http://%s:%d/metrics", host, server.server_port)
    try:
        async with AsyncExitStack() as stack:
            for worker in workers:  # an App's run in loops of their own: close this one's part
                stack.push_async_callback(worker.aclose)
                await stack.enter_async_context(metrics.watch_queues(worker))
            yield
    finally:
        await asyncio.to_thread(server.shutdown)  # it looks twice a second
        server.server_close()


def _listen(registry: "CollectorRegistry", listen: Listen) -> WSGIServer:
    from prometheus_client import start_http_server

    for port in listen.ports:
        try:
            return start_http_server(port, listen.host, registry)[0]
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CommandError(
                    f"cannot serve metrics on {listen.host}:{port}: {error.strerror or error}"
                ) from error
    ports = "-".join(str(port) for port in dict.fromkeys([listen.ports[0], listen.ports[-1]]))
    raise CommandError(f"cannot serve metrics on {listen.host}:{ports}: taken by another process")
