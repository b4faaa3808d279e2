"""`ltq run --health-port`: whether the workers of this process consume, over HTTP.

A running process and an answering server do not prove that. A healthy worker claims tasks, and
renews the leases of those it runs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from ltq.cli.run._address import ServerAddress
from ltq.cli.run._http import Answer, serve_http
from ltq.logger import get_logger
from ltq.state import WorkerHealth
from ltq.worker import Worker

logger = get_logger("cli")

_HEALTHY = {"ok", "full", "stopping"}


def judge(workers: Sequence[Worker[Any]], within: float) -> tuple[bool, dict[str, Any]]:
    """Return whether all workers are healthy, and the body of the answer.

    A worker with a free slot must have claimed within `within` seconds.
    """
    reports = [_report(worker, within) for worker in workers]
    is_healthy = all(report["status"] in _HEALTHY for report in reports)
    return is_healthy, {"status": "ok" if is_healthy else "unwell", "workers": reports}


def _report(worker: Worker[Any], within: float) -> dict[str, Any]:
    """Describe a worker by that of its runs whose last claim was the longest ago."""
    runs = worker.health()
    if not runs:
        return {"worker": worker.name, "status": "starting"}
    health = max(runs, key=lambda one: one.claimed_ago)
    return {
        "worker": worker.name,
        "status": _status(health, within),
        "running": health.running,
        "claimed_ago": round(health.claimed_ago, 3),
        "renewed_ago": round(health.renewed_ago, 3),
    }


def _status(health: WorkerHealth, within: float) -> str:
    if health.is_stopping:
        return "stopping"
    if health.renewed_ago > health.lease:
        return "not renewing its leases"
    if health.is_full:
        return "full"
    return "ok" if health.claimed_ago <= within else "not claiming"


@asynccontextmanager
async def serve_health(
    workers: Sequence[Worker[Any]], address: ServerAddress, within: float
) -> AsyncIterator[None]:
    """Answer every request with 200 or 503 and a JSON body.

    Raises `CommandError` if no port is free.
    """

    async def respond(_: str) -> Answer:
        is_healthy, report = judge(workers, within)
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, "application/json", json.dumps(report).encode() + b"\n")

    async def start(port: int) -> asyncio.Server:
        return await serve_http(respond, address.host, port)

    server = await address.serve(start)
    logger.info("health at %s", address.url(server.sockets[0].getsockname()[1]))
    try:
        yield
    finally:
        server.close()
