"""`examples/fastapi_app` over real HTTP: server-sent events, and the page in a browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from devtools.programs import find_chromium
from tests.eventually import eventually
from tests.examples.programs import PATIENCE, StartProgram
from tests.examples.sites import Site, open_site, start_worker

WORKER = "examples.fastapi_app.main:worker"
SERVER = ("uvicorn", "examples.fastapi_app.main:app", "--port", "{port}")


@pytest.fixture
async def site(start: StartProgram) -> AsyncIterator[Site]:
    async with open_site(start, *SERVER, ready="Uvicorn running on") as site:
        yield site


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url, protocol=2) as client:
        yield client


async def order(site: Site, title: str, pages: int) -> str:
    answer = await site.client.post("/reports", json={"title": title, "pages": pages})
    assert answer.status_code == 202, answer.text
    report_id: str = answer.json()["id"]
    return report_id


async def watched(client: redis.asyncio.Redis, report_id: str) -> bool:
    channels = await client.pubsub_channels("__keyspace@*")
    return any(str(channel).rstrip("'").endswith(report_id) for channel in channels)


class TestEvents:
    async def test_they_show_progress_and_end_with_the_result(
        self, start: StartProgram, site: Site
    ) -> None:
        report_id, other = await order(site, "Tea", 4), await order(site, "Coffee", 1)
        names = f"id={report_id}&id={other}&id=nobody"
        async with site.client.stream("GET", f"/events?{names}") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            await start_worker(start, WORKER)
            lines = [line async for line in stream.aiter_lines()]
        data = [line.removeprefix("data:") for line in lines if line.startswith("data:")]
        all_seen = [json.loads(one) for one in data]
        seen = [one for one in all_seen if one["id"] == report_id]
        last = {one["id"]: one["status"] for one in all_seen}
        assert last == {report_id: "completed", other: "completed", "nobody": "unknown"}
        assert (seen[0]["status"], seen[0]["done"]) == ("pending", 0)
        assert (seen[-1]["status"], seen[-1]["done"]) == ("completed", 1)
        assert seen[-1]["note"].endswith(" words on 4 pages")
        assert 0.5 in [one["done"] for one in seen]
        assert [one["is_final"] for one in seen] == [False] * (len(seen) - 1) + [True]

    async def test_who_goes_away_is_watched_for_no_longer(
        self, site: Site, client: redis.asyncio.Redis
    ) -> None:
        report_id = await order(site, "Tea", 4)
        async with (
            site.client.stream("GET", f"/events?id={report_id}") as first,
            site.client.stream("GET", f"/events?id={report_id}&id={report_id}") as second,
        ):
            readers = [stream.aiter_lines() for stream in (first, second)]
            for reader in readers:
                assert await anext(reader)
            await eventually(lambda: watched(client, report_id), PATIENCE)
            assert len(await client.client_list(_type="pubsub")) == 1

        async def is_left() -> bool:
            return not await watched(client, report_id)

        await eventually(is_left, PATIENCE, "the end of the subscription")
        assert "Traceback" not in site.server.output

    async def test_a_cancelled_report_says_so(self, site: Site) -> None:
        report_id = await order(site, "Tea", 4)
        assert (await site.client.delete(f"/reports/{report_id}")).json() == {"cancelled": True}
        shown = await site.get(f"/reports/{report_id}")
        assert (shown["status"], shown["is_final"]) == ("cancelled", True)

    async def test_an_unknown_report_is_not_found(self, site: Site) -> None:
        shown = await site.get("/reports/nobody")
        assert (shown["code"], "no task with id" in str(shown["detail"])) == (404, True)
        assert (await site.client.delete("/reports/nobody")).status_code == 404

    async def test_wrong_orders_are_refused(self, site: Site) -> None:
        answer = await site.client.post("/reports", json={"title": "", "pages": 0})
        assert answer.status_code == 422


class TestPage:
    async def test_a_browser_shows_how_reports_end(
        self, start: StartProgram, site: Site, tmp_path: Path
    ) -> None:
        chromium = find_chromium()
        if chromium is None:
            pytest.skip("no chromium on PATH")
        await start_worker(start, WORKER)
        good, bad = await order(site, "Tea & <b>", 20), await order(site, "To fail", 3)
        browser = await asyncio.create_subprocess_exec(
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server"),
            f"--user-data-dir={tmp_path}",
            # The page's own time: real, as long as there is something to wait for.
            *("--virtual-time-budget=20000", "--timeout=20000", "--dump-dom"),
            f"{site.url}/#{good}=Tea+%26+%3Cb%3E&{bad}=To+fail&nobody=Gone",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                page = (await browser.communicate())[0].decode()
        finally:
            if browser.returncode is None:
                browser.kill()
        assert "report completed final" in page
        assert " words on 20 pages" in page
        assert '<span class="title">Tea &amp; &lt;b&gt;</span>' in page
        assert "report rejected final" in page
        assert "nobody wants to read that" in page
        assert "it does not exist any more" in page
