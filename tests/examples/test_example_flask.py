"""`examples/flask_app.py` over real HTTP: a server in threads, a worker in another process."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from tests.examples.programs import StartProgram
from tests.examples.sites import Site, open_site, start_worker

WORKER = "examples.flask_app:worker"
SERVER = ("flask", "--app", "examples.flask_app", "run", "--port", "{port}")


@pytest.fixture
async def site(start: StartProgram) -> AsyncIterator[Site]:
    async with open_site(start, *SERVER, ready="Running on http") as site:
        yield site


async def test_a_request_may_wait_for_its_result(start: StartProgram, site: Site) -> None:
    await start_worker(start, WORKER)

    async def factorize(number: int) -> object:
        answer = await site.client.post("/factors?wait=10", data={"number": number})
        assert answer.status_code == 200, answer.text
        return answer.json()["factors"]

    numbers = [60, 97, 1024, 600851475143] * 5
    expected = [[2, 2, 3, 5], [97], [2] * 10, [71, 839, 1471, 6857]] * 5
    assert await asyncio.gather(*map(factorize, numbers)) == expected


async def test_what_is_not_there_in_time_may_be_asked_for_later(
    start: StartProgram, site: Site
) -> None:
    answers = [
        await site.client.post(f"/factors{wait}", data={"number": 12})
        for wait in ("?wait=0.1", "", "?wait=nan")
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    url = answers[1].json()["url"]
    assert await site.get(url) == {"code": 200, "status": "pending", "factors": None, "error": None}
    await start_worker(start, WORKER)
    assert (await site.ends_as(url, "completed"))["factors"] == [2, 2, 3]
    assert (await site.get("/factors/nobody"))["code"] == 404


async def test_it_ends_without_a_warning(site: Site) -> None:
    await site.client.post("/factors?wait=0.1", data={"number": 12})
    site.server.process.send_signal(signal.SIGINT)
    assert await site.server.ends() == 0, site.server.output
    assert "Warning" not in site.server.output.replace("WARNING: This is a development", "")
    assert "Traceback" not in site.server.output
