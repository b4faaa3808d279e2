"""The dashboard below prefixes: mounted, twice, behind proxies that leave a prefix or take it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

import ltq
from ltq.web import dashboard
from ltq.web._app import make_app
from ltq.web._door.gate import AuthorizeGate
from ltq.web._door.paths import PrefixMiddleware
from ltq.web._source.site import make_site
from tests.web.boards import browse, serve

PREFIX = "/ops/ltq"
MakeApp = Callable[[ltq.Worker[Any]], ASGIApp]


def in_fastapi(shop: ltq.Worker[Any]) -> ASGIApp:
    app = FastAPI()
    app.mount(PREFIX, dashboard(shop, authorize=None))
    return app


def in_two_mounts(shop: ltq.Worker[Any]) -> ASGIApp:
    inner = Starlette(routes=[Mount("/ltq", dashboard(shop, authorize=None))])
    return Starlette(routes=[Mount("/ops", inner)])


def behind_a_path(shop: ltq.Worker[Any]) -> ASGIApp:
    """As Django's ASGI application is put beside it: the path stays, `root_path` says how far."""
    board = dashboard(shop, authorize=None)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await board({**scope, "root_path": PREFIX}, receive, send)

    return app


def behind_a_stripping_proxy(shop: ltq.Worker[Any]) -> ASGIApp:
    """The dashboard does not know of the prefix: the proxy takes it away."""
    board = dashboard(shop, authorize=None)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == PREFIX:  # as nginx does for `location /ops/ltq/`
            await RedirectResponse(f"{PREFIX}/")(scope, receive, send)
            return
        assert path.startswith(f"{PREFIX}/")
        await board({**scope, "path": path[len(PREFIX) :]}, receive, send)

    return app


def behind_a_leaving_proxy(shop: ltq.Worker[Any]) -> ASGIApp:
    """As `ltq web --prefix`."""
    site = make_site([shop], read_only=False, redact=None)
    around = [Middleware(PrefixMiddleware, prefix=PREFIX)]
    return make_app(site, AuthorizeGate(None), around=around)


WAYS = [in_fastapi, in_two_mounts, behind_a_path, behind_a_stripping_proxy, behind_a_leaving_proxy]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.forms: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("href", "src", "hx-sse:connect"):
            if given.get(name):
                self.found.add(given[name] or "")
        if tag == "form" and given.get("method") == "post":
            self.forms.add(given.get("action") or "")


@asynccontextmanager
async def open_site(make: MakeApp, shop: ltq.Worker[Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(make(shop)) as url, browse(url) as client:
        yield client


@pytest.mark.parametrize("make", WAYS)
class TestBelowAPrefix:
    @pytest.mark.slow
    async def test_all_that_pages_link_to_is_there(
        self, shop: ltq.Worker[Any], make: MakeApp
    ) -> None:
        handle = await shop.tasks["shop:note"].with_options(tags=("a",)).send("x")
        async with open_site(make, shop) as client:
            todo, done, forms = [f"{PREFIX}/"], set[str](), set[str]()
            while todo:
                path = todo.pop()
                answer = await client.get(path)
                assert answer.status_code == 200, path
                done.add(path)
                if "text/html" not in answer.headers["content-type"]:
                    continue
                links = _Links()
                links.feed(answer.text)
                base = str(answer.url)
                forms |= {urlsplit(urljoin(base, one)).path for one in links.forms}
                for link in links.found:
                    target = urlsplit(urljoin(base, link))
                    assert target.path.startswith(f"{PREFIX}/"), (path, link)
                    to = f"{target.path}?{target.query}"
                    if "live=1" not in to and to not in done and not link.startswith("#"):
                        todo.append(to)
                todo = list(dict.fromkeys(one for one in todo if one not in done))
            assert any(handle.id in path for path in done)
            assert len(done) > 15
            assert forms
            assert all(path.startswith(f"{PREFIX}/") for path in forms)

    async def test_actions_lead_back_below_it(self, shop: ltq.Worker[Any], make: MakeApp) -> None:
        await shop.tasks["shop:note"].send("x")
        async with open_site(make, shop) as client:
            key = shop.broker.url.rpartition("/")[2]
            answer = await client.post(f"{PREFIX}/{key}/queues/shop:note/pause")
            assert answer.status_code == 200
            assert answer.url.path == f"{PREFIX}/{key}/queues/shop:note"
            assert "paused the queue" in answer.text

    async def test_streams_are_there(self, shop: ltq.Worker[Any], make: MakeApp) -> None:
        async with open_site(make, shop) as client:
            key = shop.broker.url.rpartition("/")[2]
            async with client.stream("GET", f"{PREFIX}/{key}/?live=1") as answer:
                lines = answer.aiter_lines()
                assert (await anext(lines)).startswith("data: ")

    async def test_the_last_slash_may_be_left_out(
        self, shop: ltq.Worker[Any], make: MakeApp
    ) -> None:
        async with open_site(make, shop) as client:
            key = shop.broker.url.rpartition("/")[2]
            assert (await client.get(PREFIX)).url.path == f"{PREFIX}/{key}/"
            assert (await client.get(f"{PREFIX}/{key}")).url.path == f"{PREFIX}/{key}/"


async def test_two_in_one_application_are_apart(shop: ltq.Worker[Any]) -> None:
    other: ltq.Worker[Any] = ltq.Worker("mail", broker_url="memory://mail-board")
    app = FastAPI()
    app.mount("/shop", dashboard(shop, authorize=None))
    app.mount("/mail", dashboard(other, authorize=lambda _: "read"))
    await shop.tasks["shop:note"].send("x")
    async with serve(app) as url, browse(url) as client:
        assert "shop:" in (await client.get("/shop")).text
        mail = await client.get("/mail")
        assert "There are no queues yet" in mail.text
        assert "read only" in mail.text
        key = shop.broker.url.rpartition("/")[2]
        assert (await client.get(f"/mail/{key}/")).status_code == 404


async def test_a_prefix_is_answered_only_there(shop: ltq.Worker[Any]) -> None:
    async with serve(behind_a_leaving_proxy(shop)) as url, browse(url) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.text) == (404, f"The dashboard is below {PREFIX}/\n")
        assert (await client.get("/ops/ltqx/")).status_code == 404
