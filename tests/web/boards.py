"""A dashboard over real HTTP, in this event loop, and the worker whose tasks it shows."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

import ltq
from ltq.broker import Broker
from ltq.web import Authorize, Redact, dashboard
from ltq.web._respond import Responder
from tests.eventually import eventually

PATIENCE = 10.0


_CLOSING = 1.0
"""Seconds that requests under way get when a server ends."""


class QuietServer(uvicorn.Server):
    """A server that takes no signals, and starts and ends without pauses."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    def capture_signals(self) -> Any:
        """Nothing."""
        return nullcontext()

    async def main_loop(self) -> None:
        """Wait for the end: uvicorn looks for it ten times a second."""
        await self.on_tick(0)
        await self.ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close as uvicorn does, without its pause."""
        for listening in self.servers:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            _, late = await asyncio.wait(self.server_state.tasks, timeout=_CLOSING)
            for task in late:
                task.cancel()


@asynccontextmanager
async def serve(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an application while the block runs. Yields its URL."""
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", ws="none")
    server = QuietServer(config)
    running = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started, PATIENCE, "the server listens")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.ending.set()
        await running


@asynccontextmanager
async def browse(
    url: str, *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that says, as a browser does, that it sends from a page of the same origin."""
    given = {"accept": "text/html", "sec-fetch-site": "same-origin", **(headers or {})}
    async with httpx.AsyncClient(
        base_url=url,
        headers=given,
        trust_env=False,
        timeout=PATIENCE,
        follow_redirects=True,
        verify=False,  # it is plain HTTP: certificates would be read for nothing
    ) as client:
        yield client


@dataclass
class Board:
    """A dashboard that is served."""

    worker: ltq.Worker[Any]
    client: httpx.AsyncClient
    key: str
    app: Any

    @property
    def broker(self) -> Broker:
        """The broker that it shows."""
        return self.worker.broker

    def forget(self) -> None:
        """Let nothing be shown that was read before."""
        responder: Responder = self.app.state.responder
        for readings in responder._here.readings.values():
            readings.spoil()

    async def page(self, path: str, status: int = 200) -> str:
        """The HTML of a page of the broker, as the broker is now."""
        self.forget()
        answer = await self.client.get(f"/{self.key}{path}")
        assert answer.status_code == status, answer.text
        return answer.text

    async def text(self, path: str, status: int = 200) -> str:
        """What one reads of a page: its text, in one line."""
        return text_of(await self.page(path, status))

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        """What a form does; the page that it leads to."""
        return await self.client.post(f"/{self.key}{path}", data=fields)

    async def said(self, path: str, **fields: Any) -> str:
        """What the page says that a form leads to."""
        answer = await self.post(path, **fields)
        assert answer.status_code == 200, answer.text
        found = re.search(r'<div class="banner \w+" role="status">(.*?)</div>', answer.text)
        assert found, answer.text
        return unescape(found[1])


def text_of(html: str) -> str:
    """The text of a page, in one line."""
    body = html.partition("<main id")[2].partition(">")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@asynccontextmanager
async def open_board(
    worker: ltq.Worker[Any],
    *,
    authorize: Authorize | None = None,
    read_only: bool = False,
    redact: Redact | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Board]:
    """Serve the dashboard of a worker."""
    app = dashboard(worker, authorize=authorize, read_only=read_only, redact=redact)
    async with serve(app) as url, browse(url, headers=headers) as client:
        answer = await client.get("/", follow_redirects=False)
        yield Board(worker, client, answer.headers["location"].split("/")[1], app)
