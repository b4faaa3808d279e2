"""`examples/app`: two workers in one process, a producer in another."""

from devtools.servers import free_port
from ltq.broker import Broker
from tests.examples.programs import StartProgram

RUN = ("-m", "ltq", "run", "--app", "examples.app.main:app")


async def test_a_task_of_one_worker_sends_those_of_the_other(start: StartProgram) -> None:
    app = await start(*RUN)
    await app.says("outbox: connected")
    producer = await start("-m", "examples.app.main", "python", "3.15 is out")
    assert await producer.ends() == 0, producer.output
    assert producer.output.count("sent: ") == 3
    assert "sent: guido@example.org/" in producer.output
    assert await app.stop() == 0, app.output
    assert "to ada@example.org: python: 3.15 is out" in app.output
    assert app.output.count("emails:send_email took ") == 3
    assert app.output.count("notifications:notify took ") == 1
    assert app.output.count("outbox: connected") == 1
    assert app.output.count("outbox: closed after 3 emails") == 1
    assert "worker emails has stopped" in app.output
    assert "worker notifications has stopped" in app.output


async def test_what_is_rejected_is_told(start: StartProgram) -> None:
    await start(*RUN)
    producer = await start("-m", "examples.app.main", "cobol", "60 is out")
    assert await producer.ends() == 1
    assert "nobody knows the topic cobol" in producer.output


async def test_one_worker_may_run_alone(start: StartProgram, broker: Broker) -> None:
    sender = await start("-c", _SEND)
    assert await sender.ends() == 0, sender.output
    worker = await start("-m", "ltq", "run", "examples.app.emails:worker", "--burst")
    assert await worker.ends() == 0, worker.output
    assert "to ada@example.org: hello" in worker.output
    assert " took " not in worker.output
    (stats,) = await broker.stats(["emails:send_email"])
    assert stats.pending == 0


async def test_without_a_server_it_says_so(start: StartProgram) -> None:
    nowhere = {"LTQ_BROKER_URL": f"redis://127.0.0.1:{free_port()}"}
    producer = await start("-m", "examples.app.main", "redis", "8.2", environment=nowhere)
    assert await producer.ends() == 1
    assert "failed: " in producer.output
    assert "Traceback" not in producer.output


async def test_a_lifespan_that_fails_stops_both_workers_in_one_line(start: StartProgram) -> None:
    script = _BREAK + "from ltq.cli import main\nmain()"
    app = await start("-c", script, *RUN[2:])
    assert await app.ends() == 1, app.output
    assert "Traceback" not in app.output
    last = app.output.splitlines()[-1]
    assert last.startswith("ltq: worker 'emails' cannot start: its lifespan connect raised OSError")


_SEND = """
import asyncio
from examples.app.emails import send_email, worker

async def main():
    await send_email.send("ada@example.org", "hello")
    await worker.aclose()

asyncio.run(main())
"""

_BREAK = """
import examples.app.emails as emails

def refuse():
    raise OSError("no mail server")

emails.Outbox = refuse
"""
