"""A role with no more rights than `docs/broker.md` says does all that workers and senders do."""

from typing import Any

import psycopg

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.testing.conformance._support.eventually import PATIENCE

_GRANTS = """
DO $$ BEGIN CREATE ROLE ltq_worker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT USAGE ON SCHEMA {schema} TO ltq_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO ltq_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO ltq_worker;
"""


async def test_it_sends_runs_and_steers(
    postgres_url: str, postgres_admin: psycopg.Connection[Any]
) -> None:
    schema = postgres_url.rpartition("=")[2]
    postgres_admin.execute(_GRANTS.format(schema=schema).encode())
    broker = PostgresBroker(postgres_url.replace("ltq@", "ltq_worker@"))
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
