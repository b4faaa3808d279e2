"""A reverse proxy for tests: it passes on what is below a prefix, by real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.web.boards import PATIENCE, serve

_HOP = {"connection", "keep-alive", "transfer-encoding"}


@asynccontextmanager
async def reverse_proxy(to: str, prefix: str, *, strips: bool) -> AsyncIterator[str]:
    """A proxy before a server at a URL. Yields its own URL; elsewhere it answers 404."""
    async with httpx.AsyncClient(base_url=to, trust_env=False, timeout=PATIENCE) as client:

        async def forward(request: Request) -> Response:
            path = request.url.path
            if strips:
                path = path.removeprefix(prefix)
            url = httpx.URL(path=path, query=request.url.query.encode())
            headers = [(name, value) for name, value in request.headers.raw if name != b"host"]
            headers.append((b"host", request.headers["host"].encode()))
            asked = client.build_request(
                request.method, url, headers=headers, content=await request.body()
            )
            answer = await client.send(asked, stream=True)
            passed = StreamingResponse(_body(answer), answer.status_code)
            passed.raw_headers = [
                (name.lower(), value)
                for name, value in answer.headers.raw
                if name.decode().lower() not in _HOP
            ]
            return passed

        routes = [Route(f"{prefix}/{{rest:path}}", forward, methods=["GET", "POST"])]
        app = Starlette(routes=[*routes, Route("/{rest:path}", _nothing)])
        async with serve(app) as url:
            yield url


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for some in answer.aiter_raw():
            yield some
    finally:
        await answer.aclose()


async def _nothing(_: Request) -> Response:
    return PlainTextResponse("nothing is here", 404)
