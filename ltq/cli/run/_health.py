"""`ltq run --health-port`: whether the workers of this process consume, over HTTP.

That a process lives and its server answers says nothing: what counts is that it claims, and that
it renews the leases of what it runs.
"""

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ltq.cli._errors import CommandError
from ltq.cli.run._metrics import Listen
from ltq.logger import get_logger
from ltq.state import WorkerHealth
from ltq.worker import Worker

logger = get_logger("cli")

_PATIENCE = 5.0
"""Seconds a client gets for its question."""


def judge(workers: Sequence[Worker[Any]], within: float) -> tuple[bool, dict[str, Any]]:
    """Whether all workers are well, and what there is to say of them."""
    told = [_tell(worker, within) for worker in workers]
    is_well = all(one["status"] in ("ok", "full", "stopping") for one in told)
    return is_well, {"status": "ok" if is_well else "unwell", "workers": told}


def _tell(worker: Worker[Any], within: float) -> dict[str, Any]:
    health = worker.health()
    if not health:
        return {"worker": worker.name, "status": "starting"}
    pulse = max(health, key=lambda one: one.claimed_ago)
    return {
        "worker": worker.name,
        "status": _status(pulse, within),
        "running": pulse.running,
        "claimed_ago": round(pulse.claimed_ago, 3),
        "renewed_ago": round(pulse.renewed_ago, 3),
    }


def _status(pulse: WorkerHealth, within: float) -> str:
    if pulse.is_stopping:
        return "stopping"
    if pulse.renewed_ago > pulse.lease:
        return "not renewing its leases"
    if pulse.is_full:
        return "full"
    return "ok" if pulse.claimed_ago <= within else "not claiming"


@asynccontextmanager
async def tell_health(
    workers: Sequence[Worker[Any]], listen: Listen, within: float
) -> AsyncIterator[None]:
    """Answer every request with 200 or 503 and a JSON body.

    Raises `CommandError` if no port is free.
    """

    def judged() -> tuple[bool, dict[str, Any]]:
        return judge(workers, within)

    server = await _listen(listen, judged)
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    logger.info("health at http://%s:%d/", host, server.sockets[0].getsockname()[1])
    async with server:
        yield


async def _listen(
    listen: Listen, judged: Callable[[], tuple[bool, dict[str, Any]]]
) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, TimeoutError, ValueError):
            async with asyncio.timeout(_PATIENCE):
                question = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(*judged(), is_head=question.startswith(b"HEAD ")))
                await writer.drain()
        writer.close()

    for port in listen.ports:
        try:
            return await asyncio.start_server(answer, listen.host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                where = f"{listen.host}:{port}"
                raise CommandError(
                    f"cannot tell health on {where}: {error.strerror or error}"
                ) from error
    ports = "-".join(str(port) for port in dict.fromkeys([listen.ports[0], listen.ports[-1]]))
    raise CommandError(f"cannot tell health on {listen.host}:{ports}: taken by another process")


def _response(is_well: bool, told: dict[str, Any], *, is_head: bool) -> bytes:
    body = json.dumps(told).encode() + b"\n"
    head = (
        f"HTTP/1.1 {'200 OK' if is_well else '503 Service Unavailable'}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if is_head else body)
