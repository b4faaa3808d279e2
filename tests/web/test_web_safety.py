"""The lines of `docs/dashboard-safety.md`: who gets in, what is refused, what is escaped."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request

import ltq
from ltq.message import Envelope
from ltq.web import Access, dashboard
from ltq.web._app import ACTIONS, PAGES, make_app
from ltq.web._door.gate import AuthorizeGate
from ltq.web._door.safety import (
    MAX_BODY,
    LoopbackMiddleware,
    is_loopback,
    is_loopback_host,
    is_same_origin,
)
from ltq.web._source.site import make_site
from ltq.web.access import Verdict
from tests.web.boards import PATIENCE, Board, browse, open_board, serve


def paths(board: Board, task_id: str) -> list[str]:
    """A path of each page."""
    made = [
        page.path.format(queue="shop:note", id=task_id) for page in PAGES if "edit" not in page.path
    ]
    return [f"/{board.key}{path}" for path in made]


class TestWhoGetsIn:
    @pytest.mark.parametrize(
        ("verdict", "look", "act"),
        [
            (None, 403, 403),
            ("read", 200, 403),
            (Access("read", "ada"), 200, 403),
            ("write", 200, 200),
            (Access("write", "ada"), 200, 200),
        ],
    )
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_it_is_as_authorize_says(
        self, shop: ltq.Worker[Any], verdict: Verdict, look: int, act: int, is_async: bool
    ) -> None:
        def who(_: Request) -> Verdict:
            return verdict

        async def who_async(_: Request) -> Verdict:
            return verdict

        authorize = who_async if is_async else who
        await shop.tasks["shop:note"].send("x")
        app = dashboard(shop, authorize=authorize)
        async with serve(app) as url, browse(url) as client:
            key = shop.broker.url.rpartition("/")[2]
            assert (await client.get(f"/{key}/")).status_code == look
            done = await client.post(f"/{key}/queues/shop:note/pause")
            assert done.status_code == act
        assert (await shop.broker.stats(["shop:note"]))[0].paused == (act == 200)

    async def test_every_page_stream_and_action_asks(self, shop: ltq.Worker[Any]) -> None:
        handle = await shop.tasks["shop:note"].send("x")
        async with open_board(shop) as board:
            known = paths(board, handle.id)
        app = dashboard(shop, authorize=lambda _: None)
        async with serve(app) as url, browse(url) as client:
            for path in ["/", *known]:
                assert (await client.get(path)).status_code == 403, path
                assert (await client.get(f"{path}?live=1")).status_code == 403, path
            for action in ACTIONS:
                made = action.path.format(queue="shop:note", id=handle.id, name="tidy")
                assert (await client.post(f"/{board.key}{made}")).status_code == 403, made

    async def test_a_form_is_for_those_who_may_send_it(self, shop: ltq.Worker[Any]) -> None:
        """To count what an action would do to, all dead letters are looked through."""
        handle = await shop.tasks["shop:note"].send("x")
        async with open_board(shop, authorize=lambda _: "read") as board:
            for path in (f"/queues/shop:note/tasks/{handle.id}/edit", "/dead/confirm?task=x"):
                assert "but change nothing" in await board.text(path, 403)

    async def test_read_only_lets_nobody_act(self, shop: ltq.Worker[Any]) -> None:
        handle = await shop.tasks["shop:note"].send("x")
        async with open_board(shop, read_only=True) as board:
            for action in ACTIONS:
                made = action.path.format(queue="shop:note", id=handle.id, name="tidy")
                assert (await board.post(made)).status_code == 403, made
            page = await board.page("/queues/shop:note")
            assert "<button" not in page.replace('<button class="button">Filter</button>', "")
            assert "read only" in page

    async def test_a_wrong_verdict_lets_nobody_in(self, shop: ltq.Worker[Any]) -> None:
        def who(_: Request) -> Any:
            return True

        transport = httpx.ASGITransport(dashboard(shop, authorize=who), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/")
        assert answer.status_code == 500
        assert "True" not in answer.text
        check_headers(answer)

    @pytest.mark.parametrize("wrong", ["read", 7])
    def test_authorize_must_be_a_function(self, shop: ltq.Worker[Any], wrong: Any) -> None:
        with pytest.raises(ltq.ConfigurationError, match="authorize="):
            dashboard(shop, authorize=wrong)

    def test_it_must_be_named(self, shop: ltq.Worker[Any]) -> None:
        with pytest.raises(TypeError, match="authorize"):
            dashboard(shop)  # type: ignore[call-arg]  # what users may forget

    def test_it_shows_workers_and_brokers_only(self) -> None:
        for wrong in ((), ("redis://x",), (object(),)):
            with pytest.raises(ltq.ConfigurationError):
                dashboard(*wrong, authorize=None)


class TestHost:
    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8787", "127.0.0.1", "127.8.0.1:1", "[::1]", "[::1]:8787"]
    )
    def test_this_machine_is_known(self, host: str) -> None:
        assert is_loopback_host(host)

    @pytest.mark.parametrize(
        "host",
        ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::]",
         "evil.example:8787", "localhost@evil.example", "10.0.0.1", "[::1", "127.0.0.1:x@evil"],
    )  # fmt: skip
    def test_others_are_not(self, host: str) -> None:
        assert not is_loopback_host(host)

    def test_addresses_to_listen_on(self) -> None:
        assert [is_loopback(one) for one in ("::1", "127.0.0.1", "localhost")] == [True] * 3
        assert [is_loopback(one) for one in ("0.0.0.0", "::", "", "host")] == [False] * 4

    async def test_another_host_is_refused_on_every_path(self, shop: ltq.Worker[Any]) -> None:
        site = make_site([shop], read_only=False, redact=None)
        app = make_app(site, AuthorizeGate(None), around=[Middleware(LoopbackMiddleware)])
        async with serve(app) as url, browse(url) as client:
            for path in ("/", "/static/ltq.css", "/login", "/nope"):
                answer = await client.get(path, headers={"host": "evil.example"})
                assert answer.status_code == 421, path
            assert (await client.get("/")).status_code == 200


class TestOrigin:
    @pytest.mark.parametrize(
        ("headers", "is_fine"),
        [
            ({"sec-fetch-site": "same-origin"}, True),
            ({"sec-fetch-site": "same-site"}, False),
            ({"sec-fetch-site": "cross-site"}, False),
            ({"sec-fetch-site": "none"}, False),
            ({"sec-fetch-site": "cross-site", "origin": "http://ltq:1", "host": "ltq:1"}, False),
            ({"origin": "http://ltq:1", "host": "ltq:1"}, True),
            ({"origin": "https://ltq:1", "host": "ltq:1"}, True),
            ({"origin": "http://ltq", "host": "ltq:1"}, False),
            ({"origin": "http://evil", "host": "ltq"}, False),
            ({"origin": "null", "host": "ltq"}, False),
            ({"origin": "", "host": ""}, False),
            ({"origin": "http://[", "host": "ltq"}, False),
            ({"origin": "http://[", "host": ""}, False),
            ({"host": "ltq"}, False),
            ({}, False),
        ],
    )
    def test_a_page_of_the_same_origin_is_known(
        self, headers: dict[str, str], is_fine: bool
    ) -> None:
        assert is_same_origin(Headers(headers)) is is_fine

    def test_a_header_that_is_there_twice_says_nothing(self) -> None:
        for name, right, wrong in (
            ("sec-fetch-site", "same-origin", "cross-site"),
            ("origin", "http://ltq", "http://evil"),
        ):
            for first, second in ((right, wrong), (wrong, right), (right, right)):
                pairs = [("host", "ltq"), (name, first), (name, second)]
                raw = [(key.encode(), value.encode()) for key, value in pairs]
                assert not is_same_origin(Headers(raw=raw)), pairs

    async def test_every_action_is_refused_from_elsewhere(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        for action in ACTIONS:
            made = action.path.format(queue="shop:note", id=handle.id, name="tidy")
            answer = await board.client.post(
                f"/{board.key}{made}", headers={"sec-fetch-site": "cross-site"}
            )
            assert answer.status_code == 403, made
        (stats,) = await board.broker.stats(["shop:note"])
        assert (stats.pending, stats.paused) == (1, False)

    async def test_an_action_needs_post(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        for action in ACTIONS:
            made = action.path.format(queue="shop:note", id=handle.id, name="tidy")
            for method in ("GET", "PUT", "DELETE"):
                answer = await board.client.request(method, f"/{board.key}{made}")
                assert answer.status_code in (404, 405), (method, made)
        assert (await board.broker.stats(["shop:note"]))[0].pending == 1


def check_headers(answer: httpx.Response) -> None:
    """It says what browsers shall allow."""
    csp = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in csp, answer.url
    assert "unsafe" not in csp
    assert "frame-ancestors 'none'" in csp
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"


class TestHeaders:
    async def test_every_answer_has_them(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        for path in ["/", "/nope", "/static/ltq.css", *paths(board, handle.id)]:
            check_headers(await board.client.get(path, follow_redirects=False))
        check_headers(await board.client.post("/nope", headers={"sec-fetch-site": "cross-site"}))

    async def test_a_page_is_kept_by_nobody_and_a_file_for_ever(self, board: Board) -> None:
        page = await board.client.get(f"/{board.key}/")
        assert page.headers["cache-control"] == "no-store"
        found = re.search(r'href="\.\./(static/ltq\.css\?v=\w+)"', page.text)
        assert found
        kept = await board.client.get(f"/{found[1]}")
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        plain = await board.client.get("/static/ltq.css")
        assert plain.headers["cache-control"] == "no-cache"
        for other in ("?v=000000000000", f"?v={found[1][-12:]}&v=0", "?v="):
            answer = await board.client.get(f"/static/ltq.css{other}")
            assert answer.headers["cache-control"] == "no-cache", other

    async def test_no_page_has_code_or_style_in_it(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        async with board.worker:
            pages = [(await board.client.get(path)).text for path in paths(board, handle.id)]
        for page in pages:
            assert not re.search(r"<script(?![^>]* src=)", page)
            assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)

    async def test_files_outside_of_static_are_not_served(self, board: Board) -> None:
        for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
            assert (await board.client.get(path)).status_code in (403, 404), path


class TestBody:
    async def test_a_large_one_is_refused(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        answer = await board.post("/queues/shop:note/clear", name="x" * MAX_BODY)
        assert answer.status_code == 413

    async def test_it_is_refused_before_it_is_sent(self, board: Board) -> None:
        url = board.client.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            f"POST /{board.key}/dead/do HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
            f"Sec-Fetch-Site: same-origin\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        await writer.wait_closed()

    async def test_one_of_unknown_length_is_cut_off(self, board: Board) -> None:
        async def body() -> Any:
            for _ in range(MAX_BODY // 65536 + 2):
                yield b"x" * 65536

        answer = await board.client.post(
            f"/{board.key}/dead/do",
            content=body(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 413


class TestRedact:
    @staticmethod
    def hide(_: str, value: Any) -> Any:
        """A `redact` that hides passwords, and notes that begin with a secret."""
        if isinstance(value, dict):
            return {
                key: "***" if key == "password" else TestRedact.hide("", one)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [TestRedact.hide("", one) for one in value]
        return "***" if isinstance(value, str) and value.startswith("secret") else value

    async def test_it_hides_arguments_results_and_notes_on_all_pages(
        self, shop: ltq.Worker[Any]
    ) -> None:
        async with open_board(shop, redact=self.hide) as board:
            handle = await shop.tasks["shop:note"].send("secret-1")
            async with board.broker.consumer(["shop:note"]) as consumer:
                (delivery,) = await board.broker.claim(consumer, 1)
                progress = ltq.Progress(1, 2, "secret-2")
                await board.broker.progress(delivery.lease, progress)
                pages = [(await board.client.get(one)).text for one in paths(board, handle.id)]
                await board.broker.release(delivery.lease, result=b'"secret-3"')
            pages += [(await board.client.get(one)).text for one in paths(board, handle.id)]
        assert all("secret" not in page for page in pages)
        assert any("***" in page for page in pages)

    async def test_what_it_hides_cannot_be_found(self, shop: ltq.Worker[Any]) -> None:
        async with open_board(shop, redact=self.hide) as board:
            handle = await shop.tasks["shop:note"].send("secret-1")
            text = await board.text("/search?q=secret-1")
        assert handle.id not in text
        assert "Nothing was found" in text

    async def test_what_it_hides_is_not_sent_again(self, shop: ltq.Worker[Any]) -> None:
        async with open_board(shop, redact=self.hide) as board:
            handle = await shop.tasks["shop:note"].send("secret-1")
            path = f"/queues/shop:note/tasks/{handle.id}"
            page = await board.page(path)
            assert "Edit and send" not in page
            assert "ltq send" not in page
            assert "are hidden here" in await board.text(f"{path}/edit", 404)

    async def test_if_it_raises_nothing_is_shown(self, shop: ltq.Worker[Any]) -> None:
        def broken(_: str, value: Any) -> Any:
            raise KeyError(value)

        async with open_board(shop, redact=broken) as board:
            handle = await shop.tasks["shop:note"].send("secret-1")
            page = await board.page(f"/queues/shop:note/tasks/{handle.id}")
        assert "secret-1" not in page
        assert "redact raised KeyError" in page

    async def test_it_may_change_the_value_in_place(self, shop: ltq.Worker[Any]) -> None:
        def in_place(_: str, value: Any) -> Any:
            value["args"][0] = "***"
            return value

        async with open_board(shop, redact=in_place) as board:
            handle = await shop.tasks["shop:note"].send("secret-1")
            page = await board.page(f"/queues/shop:note/tasks/{handle.id}")
        assert "secret-1" not in page
        assert "ltq send" not in page

    async def test_bytes_that_it_cannot_look_into_are_not_shown(
        self, shop: ltq.Worker[Any]
    ) -> None:
        async with open_board(shop, redact=self.hide) as board:
            envelope = Envelope(
                id="own", queue="shop:note", task_name="shop:note", body=b"secret-1",
                serializer="own",
            )  # fmt: skip
            await board.broker.publish([envelope])
            page = await board.page("/queues/shop:note/tasks/own")
        assert "secret-1" not in page
        assert "redact cannot look into it" in page

    def test_it_must_be_a_function(self, shop: ltq.Worker[Any]) -> None:
        with pytest.raises(ltq.ConfigurationError, match="redact="):
            dashboard(shop, authorize=None, redact="x")  # type: ignore[arg-type]  # as users may
