"""`ltq run --metrics-port`: the metrics of this process's workers, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from wsgiref.simple_server import WSGIServer

from ltq.cli._errors import WrongUseError
from ltq.cli.run._address import ServerAddress
from ltq.logger import get_logger
from ltq.middleware import Prometheus
from ltq.worker import Worker

logger = get_logger("cli")


def measure(workers: Sequence[Worker]) -> Prometheus:
    """Return the workers' Prometheus middleware. Workers without one get it as their first.

    Raises `ConfigurationError` if prometheus-client is missing, `WrongUseError` if the workers
    have different registries.
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
async def serve_metrics(
    metrics: Prometheus, workers: Sequence[Worker], address: ServerAddress
) -> AsyncIterator[None]:
    """Serve the metrics, and keep the counts of the workers' queues up to date.

    Raises `CommandError` if no port is free.
    """

    async def start(port: int) -> WSGIServer:
        from prometheus_client import start_http_server

        return start_http_server(port, address.host, metrics.registry)[0]

    server = await address.serve(start)
    logger.info("metrics at %smetrics", address.url(server.server_port))
    try:
        async with AsyncExitStack() as stack:
            for worker in workers:  # in an App, workers use other loops: close them in this one too
                stack.push_async_callback(worker.aclose)
                await stack.enter_async_context(metrics.watch_queues(worker))
            yield
    finally:
        await asyncio.to_thread(server.shutdown)  # it takes up to half a second
        server.server_close()
