"""`examples/chat` over real HTTP: tokens as server-sent events, resumed and taken over."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.examples.programs import StartProgram
from tests.examples.sites import Site, open_site, start_worker

WORKER = "examples.chat.main:worker"
SERVER = ("uvicorn", "examples.chat.main:app", "--port", "{port}")


@pytest.fixture
async def site(start: StartProgram) -> AsyncIterator[Site]:
    async with open_site(start, *SERVER, ready="Uvicorn running on") as site:
        yield site


async def ask(site: Site, prompt: str, words: int) -> str:
    answer = await site.client.post("/answers", json={"prompt": prompt, "words": words})
    assert answer.status_code == 202, answer.text
    answer_id: str = answer.json()["id"]
    return answer_id


class Event:
    """One server-sent event."""

    def __init__(self, lines: list[str]) -> None:
        fields = dict(line.split(": ", 1) for line in lines)
        self.kind = fields.get("event", "message")
        self.id = fields.get("id", "")
        self.data: Any = json.loads(fields["data"])


async def events(site: Site, answer_id: str, after: str | None = None) -> AsyncIterator[Event]:
    """The events of an answer, as they come."""
    headers = {} if after is None else {"Last-Event-ID": after}
    url = f"/answers/{answer_id}"
    async with site.client.stream("GET", url, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines: list[str] = []
        async for line in stream.aiter_lines():
            if line and not line.startswith(":"):
                lines.append(line)
            elif lines:
                yield Event(lines)
                lines = []


def numbers(seen: list[Event]) -> list[str]:
    return [event.data["text"] for event in seen if event.kind == "message"]


async def test_a_page_that_is_reloaded_goes_on(start: StartProgram, site: Site) -> None:
    await start_worker(start, WORKER)
    answer_id = await ask(site, "hi", 12)
    first: list[Event] = []
    reading = events(site, answer_id)
    async for event in reading:
        first.append(event)
        if len(first) == 4:
            break
    await reading.aclose()  # type: ignore[attr-defined]
    rest = [event async for event in events(site, answer_id, after=first[-1].id)]
    whole = [event async for event in events(site, answer_id)]
    assert len(numbers(whole)) == 13
    assert numbers(first) + numbers(rest) == numbers(whole)
    assert (rest[-1].kind, whole[-1].kind) == ("done", "done")


async def test_another_worker_takes_over_from_one_that_is_killed(
    start: StartProgram, site: Site
) -> None:
    killed = await start_worker(start, WORKER)
    answer_id = await ask(site, "hi", 40)
    seen: list[Event] = []
    async for event in events(site, answer_id):
        seen.append(event)
        if len(seen) == 3:
            killed.process.kill()
            await start_worker(start, WORKER)
    attempts = [event.data["attempt"] for event in seen if event.kind == "message"]
    assert attempts == sorted(attempts)
    assert set(attempts) == {1, 2}
    assert attempts.count(2) == 41
    assert seen[-1].kind == "done"


async def test_an_id_of_another_stream_is_told(site: Site) -> None:
    answer_id = await ask(site, "hi", 1)
    (event,) = [one async for one in events(site, answer_id, after="1-1-00000000")]
    assert event.kind == "failed"
    assert "is not allowed: the `cursor` of a stream of task" in event.data
