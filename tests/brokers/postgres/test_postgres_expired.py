"""States that have expired stay in their table for a while, and are not there for anybody."""

from ltq.brokers.postgres import PostgresBroker
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
