"""The web examples: a server and a worker, each a process of its own, and a client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from devtools.servers import free_port
from tests.eventually import eventually
from tests.examples.programs import PATIENCE, Program, StartProgram


@dataclass(frozen=True)
class Site:
    """A web server that runs."""

    url: str
    client: httpx.AsyncClient
    server: Program

    async def get(self, path: str) -> dict[str, object]:
        """The JSON at a path."""
        answer = await self.client.get(path)
        body: dict[str, object] = answer.json()
        return {"code": answer.status_code, **body}

    async def ends_as(self, path: str, status: str) -> dict[str, object]:
        """The JSON at a path, once its `status` is this."""

        async def has_ended() -> dict[str, object] | None:
            body = await self.get(path)
            return body if body["status"] == status else None

        body = await eventually(has_ended, PATIENCE, f"{path} {status}")
        assert body is not None
        return body


@asynccontextmanager
async def open_site(start: StartProgram, *command: str, ready: str) -> AsyncIterator[Site]:
    """Start `python -m command`, in which `{port}` stands for a free one, and wait for `ready`."""
    port = free_port()
    server = await start("-X", "dev", "-m", *(part.format(port=port) for part in command))
    await server.says(ready)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        yield Site(url, client, server)


async def start_worker(start: StartProgram, target: str) -> Program:
    """Run a worker, and wait until it does."""
    worker = await start("-m", "ltq", "run", target)
    await asyncio.wait_for(worker.says("worker "), PATIENCE)
    return worker
