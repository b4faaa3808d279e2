"""The example with traces, metrics and errors: a worker, a producer, and who watches them."""

import asyncio
import re
from urllib.request import ProxyHandler, build_opener

from devtools.servers import free_port
from tests.eventually import eventually
from tests.examples.programs import StartProgram


async def scrape(url: str) -> str:
    """A page of metrics."""
    opener = build_opener(ProxyHandler({}))

    def fetch() -> str:
        with opener.open(url, timeout=5) as response:
            text: str = response.read().decode()
            return text

    return await asyncio.to_thread(fetch)


async def test_the_producers_trace_goes_on_in_the_worker_and_all_is_counted(
    start: StartProgram,
) -> None:
    worker = await start("-m", "ltq", "run", "examples.telemetry:worker", "--metrics-port", "0")
    await worker.says("/metrics")
    (url,) = re.findall(r"metrics at (\S+)", worker.output)
    producer = await start("-m", "examples.telemetry", "--orders", "15")
    assert await producer.ends() == 0, producer.output
    said = re.search(r"13 quoted, 2 refused, all in trace (\w{32})\n", producer.output)
    assert said, producer.output
    assert producer.output.count(f"{said[1]} create telemetry:quote\n") == 15

    async def are_counted() -> bool:
        runs = 'ltq_runs_total{outcome="%s",task="telemetry:quote"} %s\n'
        page = await scrape(url)
        counts = {"completed": "13.0", "retried": "3.0", "rejected": "2.0"}
        return all(runs % pair in page for pair in counts.items())

    await eventually(are_counted)
    assert await worker.stop() == 0, worker.output
    run = f"{said[1]} process telemetry:quote"
    assert worker.output.count(f"{run} ltq.attempt=1 ltq.outcome=completed\n") == 10
    assert worker.output.count(f"{run} ltq.attempt=1 ltq.outcome=retried\n") == 3
    assert worker.output.count(f"{run} ltq.attempt=2 ltq.outcome=completed\n") == 3
    assert worker.output.count(f"{run} ltq.attempt=1 ltq.outcome=rejected\n") == 2
    assert worker.output.count(f"{said[1]} ask for the price\n") == 16


async def test_without_redis_it_says_so(start: StartProgram) -> None:
    nowhere = {"LTQ_BROKER_URL": f"redis://127.0.0.1:{free_port()}"}
    producer = await start("-m", "examples.telemetry", environment=nowhere)
    assert await producer.ends() == 1
    assert "failed: " in producer.output
