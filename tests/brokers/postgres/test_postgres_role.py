"""A role with no more rights than `docs/broker.md` says does all that workers and senders do."""

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.state import Status
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.flow.stage import Stage


async def test_it_sends_runs_and_steers(postgres_role_url: str) -> None:
    broker = PostgresBroker(postgres_role_url)
    worker = ltq.Worker("shop", broker=broker)

    @worker.task
    async def pack(number: int) -> int:
        return 10 // number

    async with broker, worker:
        assert await (await pack.send(2)).result(PATIENCE) == 5
        failed = await pack.with_options(max_tries=1).send(0)
        await failed.wait(PATIENCE)
        assert await broker.replay(pack.queue, [failed.id])
        delayed = await pack.with_options(delay=60).send(1)
        assert await broker.promote(pack.queue, [delayed.id]) == 1
        await broker.pause(pack.queue)
        await broker.resume(pack.queue)
        assert await delayed.result(PATIENCE) == 10
        await broker._here().link.call("upkeep", 100)
        await broker._here().link.call("rotate")
        assert (await broker.history(pack.queue, 5))[-1].completed >= 1


async def test_it_carries_workflows_on_and_cancels_them(postgres_role_url: str) -> None:
    stage = Stage(PostgresBroker(postgres_role_url))
    async with stage.broker:
        waiting = await stage.total.send()
        assert await waiting.cancel()
        async with stage.one, stage.two:
            assert await (await stage.total.send()).result(PATIENCE) == 6
            broken = stage.text.step(1, -1).with_options(id="w")
            assert await (await broken.send()).result(PATIENCE) == ""
        assert (await waiting.state()).status is Status.CANCELLED
