"""`ltq bridge`: what was sent while the store was away gets there without a worker."""

import signal
from pathlib import Path

import pytest

from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Envelope, new_id
from ltq.testing import FlakyBroker
from tests.cli.calls import call_ltq
from tests.cli.processes import start_ltq
from tests.eventually import eventually


async def test_what_is_in_rabbitmq_goes_into_the_store(rabbitmq_url: str, tmp_path: Path) -> None:
    url = f"{rabbitmq_url}&state=sqlite:///{tmp_path}/jobs.db"
    store = FlakyBroker(SqliteBroker(f"sqlite:///{tmp_path}/jobs.db"))
    sent = Envelope(id=new_id(), queue="mail:send", task_name="mail:send", body=b"[[],{}]")
    async with RabbitBroker(url, store=store) as broker:
        with store.fail():
            await broker.publish([sent])
        async with start_ltq("bridge", "mail", "--broker-url", url) as running:

            async def is_there() -> bool:
                return (await store.states(sent.queue, [sent.id]))[0] is not None

            await eventually(is_there, timeout=40)
            running.process.send_signal(signal.SIGTERM)
            assert (await running.end()).code == 0


async def test_another_broker_needs_none(tmp_path: Path) -> None:
    result = await call_ltq("bridge", "mail", "--broker-url", f"sqlite:///{tmp_path}/jobs.db")
    assert result.code == 1
    assert "needs no bridge" in result.err


async def test_a_wrong_name_is_told() -> None:
    url = "amqp://127.0.0.1:1/?state=memory://"
    result = await call_ltq("bridge", "no name", "--broker-url", url)
    assert result.code == 2
    assert "'no name'" in result.err


@pytest.mark.parametrize("state", ["", "?state=amqp://other"])
async def test_a_url_without_a_store_is_wrong_use(state: str) -> None:
    result = await call_ltq("bridge", "mail", "--broker-url", f"amqp://joe:s3cret@mq/{state}")
    assert result.code == 2
    assert "s3cret" not in result.err
