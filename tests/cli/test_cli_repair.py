"""`ltq repair`: tasks that are in no list."""

import pytest
import redis

import ltq
from ltq.broker import Broker
from ltq.broker.flows import pack_follow
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.message import Finish
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Done
from tests.conformance.factories import QUEUE, make_envelope, publish_many


async def test_it_says_what_it_did(broker: Broker, redis_url: str) -> None:
    await publish_many(broker, 2, delay=60)
    with redis.Redis.from_url(redis_url) as raw:
        raw.delete(keys.delayed("mail", QUEUE))
    command = ("repair", "--broker-url", redis_url)
    assert await call_ltq(*command) == Done(0, "mail: 2 tasks requeued\n", "")
    assert await call_ltq(*command, "mail") == Done(0, "mail: nothing to repair\n", "")
    assert [stats.pending for stats in await broker.stats([QUEUE])] == [2]


async def test_it_carries_on_from_endings(
    broker: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = make_envelope(queue="other:x", has_new_id=False)
    await publish_many(broker, 1)
    async with broker.consumer([QUEUE]) as consumer:
        (delivery,) = await broker.claim(consumer)
    follow = pack_follow([after])
    await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1", follow=follow)])
    command = ("repair", "--broker-url", redis_url, "mail")
    assert await call_ltq(*command) == Done(0, "mail: nothing to repair\n", "")  # not yet left
    monkeypatch.setattr("ltq.cli.repair.LEFT_AFTER", 0.0)
    assert await call_ltq(*command) == Done(
        0, "mail: carried workflows on after 1 ended task\n", ""
    )
    assert (await broker.state("other:x", after.id)).status is Status.PENDING
    assert await call_ltq(*command) == Done(0, "mail: nothing to repair\n", "")


async def test_it_cancels_workflows_whose_start_was_cut(
    broker: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = ltq.Worker("mail", broker=broker)

    @worker.task
    async def draw(number: int) -> int:
        return number

    envelopes = draw.step(1).then(draw)._plan("w-1").envelopes(lambda _: None)
    await broker.publish(envelopes[1:])
    command = ("repair", "--broker-url", redis_url, "mail")
    assert await call_ltq(*command) == Done(0, "mail: nothing to repair\n", "")  # it may go on
    monkeypatch.setattr("ltq.cli.repair.CUT_AFTER", 0.0)
    told = "mail: cancelled 1 workflow whose start was cut\n"
    assert await call_ltq(*command) == Done(0, told, "")
    assert (await broker.state("mail:draw", "w-1")).status is Status.CANCELLED
    assert await call_ltq(*command) == Done(0, "mail: nothing to repair\n", "")


async def test_there_may_be_none(redis_url: str) -> None:
    done = await call_ltq("repair", "--broker-url", redis_url)
    assert done == Done(0, "no queues yet\n", "")


async def test_json_for_programs(broker: Broker, redis_url: str) -> None:
    await publish_many(broker, 1)
    await publish_many(broker, 1, queue="other:x")
    none = '{"tasks": 0, "endings": 0, "left": 0, "cut": 0}'
    done = await call_ltq("repair", "mail", "other", "--json", "--broker-url", redis_url)
    assert done == Done(0, f'{{"mail": {none}, "other": {none}}}\n', "")


async def test_a_worker_whose_names_were_lost_is_repaired(broker: Broker, redis_url: str) -> None:
    await publish_many(broker, 1, delay=60)
    with redis.Redis.from_url(redis_url) as raw:
        raw.delete(keys.delayed("mail", QUEUE), keys.lanes("mail"), keys.namespaces)
    done = await call_ltq("repair", "mail", "--broker-url", redis_url)
    assert done == Done(0, "mail: 1 task requeued\n", "")


async def test_each_unknown_worker_is_told(broker: Broker, redis_url: str) -> None:
    await publish_many(broker, 1)
    done = await call_ltq("repair", "mial", "mail", "zzz", "--broker-url", redis_url)
    assert (done.code, done.out) == (1, "mail: nothing to repair\n")
    assert "there is no worker 'mial': did you mean mail?" in done.err
    assert "there is no worker 'zzz'" in done.err


async def test_a_wrong_name_is_told() -> None:
    done = await call_ltq("repair", "a b")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
