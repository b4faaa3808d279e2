"""Times that steps write are of when they had their turn, not of when they began to wait for it."""

import asyncio

import psycopg

from ltq.brokers.postgres import PostgresBroker
from ltq.message import Envelope
from ltq.names import new_id
from ltq.state import Status
from tests.eventually import eventually


async def test_a_cancel_that_waits_for_a_claim_is_not_told_as_before_it(
    postgres_server: str, postgres_url: str, postgres_admin: psycopg.Connection
) -> None:
    schema = postgres_url.partition("schema=")[2]
    envelope = Envelope(id=new_id(), queue="shop", task_name="shop:buy", body=b"")

    def waits() -> bool:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        row = postgres_admin.execute(query).fetchone()
        return row is not None and row[0] > 0

    claim = f"""SELECT count(*) FROM {schema}.claim(ARRAY['shop'], ARRAY['shop'], NULL, 'w', 60, 1,
        '{{}}', '{{}}', '{{}}', '{{}}', true, false)"""
    async with PostgresBroker(postgres_url) as broker:
        await broker.publish([envelope])
        async with await psycopg.AsyncConnection.connect(postgres_server) as claiming:
            await claiming.execute(f"SELECT {schema}.enter('shop')".encode())
            cancelling = asyncio.create_task(broker.cancel("shop", envelope.id, 60.0))
            await eventually(waits)
            await claiming.execute(claim.encode())
        assert await cancelling is True
        state = await broker.state("shop", envelope.id)
    assert (state.status, state.worker) == (Status.CANCELLED, "w")
    assert state.release_time is not None
    assert state.last_dequeue_time is not None
    assert state.release_time >= state.last_dequeue_time
