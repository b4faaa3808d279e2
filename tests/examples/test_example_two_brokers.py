"""`examples/two_brokers`: an `ltq.toml`, and a worker on each of its brokers."""

import pytest

from devtools.servers import free_port
from ltq.broker import Broker
from tests.examples.programs import ROOT, StartProgram, open_programs

FOLDER = ROOT / "examples" / "two_brokers"


def names(server: str) -> dict[str, str]:
    return {"LTQ_BROKER_URL_ORDERS": f"{server}/2", "LTQ_BROKER_URL_MAIL": f"{server}/1"}


@pytest.fixture
def server(redis_url: str) -> str:
    """The URL of the server without a database."""
    return redis_url.removesuffix("/0")


async def test_a_task_of_one_broker_sends_those_of_the_other(server: str) -> None:
    async with open_programs(**names(server)) as start:
        app = await start("-m", "ltq", "run", "--app", "shop:app", cwd=FOLDER)
        producer = await start("shop.py", "tea", "scones", cwd=FOLDER)
        assert await producer.ends() == 0, producer.output
        assert producer.output.splitlines() == [
            f"Dear customer, your {item} is on its way." for item in ("tea", "scones")
        ]
        assert await app.stop() == 0, app.output
    assert f"broker {server}/2" in app.output
    assert f"broker {server}/1" in app.output
    for database, queue in ((2, "orders:order"), (1, "mail:confirm")):
        async with Broker.from_url(f"{server}/{database}") as broker:
            assert await broker.queues() == [queue]


async def test_the_doctor_finds_both_brokers_of_the_file(start: StartProgram, server: str) -> None:
    environment = {"LTQ_BROKER_URL": "", **names(server)}
    doctor = await start("-m", "ltq", "doctor", cwd=FOLDER, environment=environment)
    await doctor.ends()
    heads = [line for line in doctor.output.splitlines() if line.startswith("@")]
    assert heads == [f"@orders  {server}/2", f"@mail  {server}/1"]


async def test_without_a_server_it_says_so(start: StartProgram) -> None:
    nowhere = {"LTQ_BROKER_URL": "", **names(f"redis://127.0.0.1:{free_port()}")}
    producer = await start("shop.py", "tea", cwd=FOLDER, environment=nowhere)
    assert await producer.ends() == 1
    assert "failed: " in producer.output
    assert "Traceback" not in producer.output
