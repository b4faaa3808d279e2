"""A role with no more rights than `docs/broker.md` says does all that workers and senders do."""

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.testing.conformance._support.eventually import PATIENCE


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
