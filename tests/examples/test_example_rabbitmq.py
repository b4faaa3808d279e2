"""`examples/rabbitmq`: programs that reach a worker without LTQ, in Python and in Node."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ltq.broker import Broker
from tests.eventually import eventually
from tests.examples.programs import ROOT, open_programs

FOLDER = ROOT / "examples" / "rabbitmq"


@pytest_asyncio.fixture(loop_scope="function")
async def outside(rabbitmq_url: str, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """What programs outside are told, while a worker runs."""
    server, _, prefix = rabbitmq_url.partition("?prefix=")
    url = f"{rabbitmq_url}&state=sqlite:///{tmp_path}/shop.db"
    # `rabbitmq_url` deletes the queues that are known here: the consumer's is the worker's as well.
    async with (
        open_programs(LTQ_BROKER_URL=url) as start,
        Broker.from_url(url) as broker,
        broker.consumer(["shop:checkout"]),
    ):
        worker = await start("-m", "ltq", "run", "examples.rabbitmq.shop:worker")

        async def is_served() -> bool:
            return await broker.served(["shop:checkout"]) == [0]

        await eventually(is_served, timeout=30)
        yield {"AMQP_URL": f"{server}%2F", "LTQ_PREFIX": prefix}
        assert await worker.stop() == 0, worker.output


async def test_with_pika(outside: dict[str, str]) -> None:
    async with open_programs(**outside) as start:
        program = await start("-m", "examples.rabbitmq.outside", "7", "0")
        assert await program.ends() == 1, program.output
    assert sorted(program.output.splitlines()) == [
        "completed order 7 is paid in EUR",
        "rejected there is no order 0",
    ]


async def test_with_amqplib_in_node(outside: dict[str, str], tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm here")
    script = shutil.copy(FOLDER / "outside.mjs", tmp_path)
    install = [npm, "install", "--no-audit", "--no-fund", "amqplib@0.10"]
    installed = await asyncio.to_thread(
        subprocess.run, install, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if installed.returncode != 0:
        pytest.skip("npm cannot install amqplib here")
    done = await asyncio.to_thread(
        subprocess.run,
        [node, script, "7"],
        cwd=tmp_path,
        env={**os.environ, **outside},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "completed order 7 is paid in EUR\n"), done.stderr
