"""The dashboard: how soon its pages are there, what many viewers cost, and how soon they see."""

import asyncio
import re
import statistics
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from benchmarks.stand import Figures, RedisStand, Stand
from ltq.broker import Broker
from ltq.message import Envelope
from ltq.names import new_id

_QUEUES, _TASKS = 1000, 1_000_000
_LOADS = 12
"""How often a page is loaded. Between two of them all that was read has become too old."""

_VIEWERS = 100
_ACTIONS = 5

_ADDRESS = re.compile(rb"(http://\S+/)")
_ASSETS = re.compile(r'(?:src|href)="\.\./(static/[^"]+)"')


async def web(stand: Stand) -> Figures:
    """`ltq web` on 1000 queues with a million tasks.

    Milliseconds of the first page of a new process, of the overview and of a queue later; bytes of
    all that a first page loads; what one viewer and a hundred cost; and from an action to the last
    of them that sees it.
    """
    queues = await _fill(stand)
    async with _served(stand.url) as url, httpx.AsyncClient(base_url=url) as client:
        cold = await _load(client, "")
        overview = [await _load(client, "", stand) for _ in range(stand.count(_LOADS, least=2))]
        queue = f"queues/{queues[0]}"
        one = [await _load(client, queue, stand) for _ in range(stand.count(_LOADS, least=2))]
        weight = await _weight(client)
        costs: Figures = {}
        for viewers in (1, stand.count(_VIEWERS)):
            costs |= await _viewed(stand, url, viewers, queues[0])
    return {
        "cold page ms": cold,
        "overview ms": statistics.median(overview),
        "queue ms": statistics.median(one),
        "first load kB": weight / 1000,
        **costs,
    }


async def _fill(stand: Stand) -> Sequence[str]:
    """The names of the queues, which hold as many tasks each."""
    queues = [f"bench:queue{number}" for number in range(stand.count(_QUEUES))]
    each = stand.count(_TASKS) // len(queues)
    async with Broker.from_url(stand.url) as broker:
        for queue in queues:
            await broker.publish([_task(queue) for _ in range(each)])
    return queues


def _task(queue: str) -> Envelope:
    return Envelope(id=new_id(), queue=queue, task_name=queue, body=b"[[1],{}]")


@asynccontextmanager
async def _served(broker_url: str) -> AsyncIterator[str]:
    """`ltq web` in a process of its own; the address of its only broker."""
    command = (sys.executable, "-m", "ltq", "web", broker_url, "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=PIPE)
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            if found := _ADDRESS.search(line):
                break
        else:
            raise AssertionError("the dashboard did not start")
        url = found[1].decode()
        begin = (await asyncio.to_thread(httpx.get, url)).headers["location"]
        yield url + begin.removeprefix("./")
    finally:
        process.terminate()
        await process.wait()


async def _load(client: httpx.AsyncClient, path: str, stand: Stand | None = None) -> float:
    """Milliseconds of a page."""
    if stand is not None:
        await asyncio.sleep(stand.seconds(1.0))
    begin = time.perf_counter()
    (await client.get(path)).raise_for_status()
    return 1000 * (time.perf_counter() - begin)


async def _weight(client: httpx.AsyncClient) -> float:
    """Bytes of the page and of all that it loads, as they are sent."""
    page = await client.get("")
    paths = ["", *(f"../{found}" for found in _ASSETS.findall(page.text))]
    return sum([await _sent(client, path) for path in paths])


async def _sent(client: httpx.AsyncClient, path: str) -> int:
    async with client.stream("GET", path) as answer:
        answer.raise_for_status()
        return sum([len(part) async for part in answer.aiter_raw()])


async def _viewed(stand: Stand, url: str, viewers: int, queue: str) -> Figures:
    """What so many viewers of the first page cost, and how soon the last one sees an action."""
    async with AsyncExitStack() as stack:
        client = httpx.AsyncClient(
            base_url=url, limits=httpx.Limits(max_connections=None), timeout=30
        )
        await stack.enter_async_context(client)
        pages = [
            _Viewer(await stack.enter_async_context(client.stream("GET", "?sort=load&live=1")))
            for _ in range(viewers)
        ]
        await asyncio.gather(*(page.sees(queue) for page in pages))
        figures: Figures = {}
        if isinstance(stand, RedisStand):
            figures[f"commands/s of {viewers}"] = await _commands(stand)
        delays = [await _act(client, queue, pages) for _ in range(_ACTIONS)]
    return figures | {f"seen by {viewers} ms": statistics.median(delays)}


async def _commands(stand: RedisStand) -> float:
    """What the server is asked a second, in 30 seconds."""
    before, begin = await _calls(stand), time.perf_counter()
    await asyncio.sleep(stand.seconds(30.0, least=2.0))
    return (await _calls(stand) - before) / (time.perf_counter() - begin)


async def _calls(stand: RedisStand) -> int:
    return sum(one["calls"] for one in (await stand.client.info("commandstats")).values())


async def _act(client: httpx.AsyncClient, queue: str, pages: Sequence["_Viewer"]) -> float:
    """Milliseconds from the click on `Pause` until all see it. Resumes the queue."""
    headers = {"sec-fetch-site": "same-origin"}
    begin = time.perf_counter()
    await client.post(f"queues/{queue}/pause", headers=headers)
    await asyncio.gather(*(page.sees("1 paused") for page in pages))
    spent = 1000 * (time.perf_counter() - begin)
    await client.post(f"queues/{queue}/resume", headers=headers)
    await asyncio.gather(*(page.sees(queue, without="1 paused") for page in pages))
    return spent


class _Viewer:
    """The stream of a page."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def sees(self, text: str, without: str = "\0") -> None:
        """Read until a page has this text, and not the other."""
        page: list[str] = []
        async for line in self._lines:
            page.append(line)
            if line:
                continue
            whole = "\n".join(page)
            if text in whole and without not in whole:
                return
            page.clear()
        raise AssertionError("the stream has ended")
