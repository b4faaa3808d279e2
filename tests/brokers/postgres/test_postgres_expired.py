"""States that have expired stay in their table for a while, and are not there for anybody."""

from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._operations.sweep import upkeep
from ltq.message import Failure, Finish, Published, Receipt
from ltq.state import Status
from tests.conformance.factories import QUEUE, make_envelope
from tests.elapse import elapse


async def test_a_task_with_an_id_used_before_is_found_as_it_is_now(postgres_url: str) -> None:
    envelope, failure = make_envelope(), Failure("ValueError", "ValueError: no")
    async with PostgresBroker(postgres_url) as broker, broker.consumer([QUEUE]) as consumer:
        for result_ttl in (0.1, 60.0):
            assert await broker.publish([envelope]) == [Published.CREATED]
            (delivery,) = (await consumer.claim(1)).deliveries
            outcome = Finish(delivery.lease, Status.FAILED, failure=failure, result_ttl=result_ttl)
            assert await broker.finish([outcome]) == [Receipt.OK]
            await elapse(0.2, "the first state expires")
        assert (await broker.state(QUEUE, envelope.id)).status is Status.FAILED
        assert await broker.cancel(QUEUE, envelope.id, 60.0) is False
        assert len(await broker.rerun(QUEUE, [envelope.id])) == 1


async def test_items_go_some_time_after_their_task(postgres_url: str) -> None:
    async with PostgresBroker(postgres_url) as broker, broker.consumer([QUEUE]) as consumer:
        await broker.publish([make_envelope(), make_envelope(), make_envelope()])
        leases = [delivery.lease for delivery in (await consumer.claim(3)).deliveries]
        for lease in leases:
            assert await broker.append(lease, 0, [b"1", b"2"], 10)
        running, kept, expired = leases
        await broker.release(kept, result_ttl=60.0)
        await broker.release(expired, result_ttl=0.1)
        await elapse(0.2, "a state expires")
        link = broker._here().link
        await link.query("UPDATE ltq.streams SET look_at = 0 RETURNING id")
        await upkeep(link)
        for table in ("items", "streams"):
            rows = await link.query(f"SELECT DISTINCT id FROM ltq.{table}")
            assert {task_id for (task_id,) in rows} == {running.id, kept.id}
        ((first, last),) = await link.query("SELECT min(look_at), max(look_at) FROM ltq.streams")
        now = await broker.time()
        assert now + 50 < first <= last < now + 70  # in a minute, and when the state expires
        for lease in (running, kept):
            found = await broker.items(QUEUE, lease.id)
            assert found is not None
            assert found.items == (b"1", b"2")
