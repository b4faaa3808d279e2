"""Large tasks and results, and networks on which they take their time."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from devtools.postgres_wire import PostgresReader
from devtools.proxy import Proxy
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._claim_size import ClaimSize
from ltq.brokers.postgres._server import link
from ltq.message import Finish, Receipt
from ltq.state import Status
from tests.conformance.factories import QUEUE, make_envelope

pytestmark = pytest.mark.slow

LARGE = bytes(1_000_000)


@pytest.fixture
async def proxy(postgres_server: str) -> AsyncIterator[Proxy]:
    port = int(str(psycopg.conninfo.conninfo_to_dict(postgres_server)["port"]))
    async with Proxy(port, reader=PostgresReader) as proxy:
        yield proxy


@pytest.fixture
async def broker(proxy: Proxy, postgres_url: str) -> AsyncIterator[PostgresBroker]:
    """One behind the proxy."""
    location, _, query = postgres_url.partition("?")
    url = f"postgresql://ltq@127.0.0.1:{proxy.port}/{location.rpartition('/')[2]}?{query}"
    async with PostgresBroker(f"{url}&sslmode=disable&gssencmode=disable") as broker:
        await broker.ping()
        yield broker


async def test_what_moves_is_not_cut_off(
    broker: PostgresBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task on its way for longer than a call may be silent arrives, in both directions."""
    monkeypatch.setattr(link, "CALL_PATIENCE", 0.7)
    monkeypatch.setattr(link, "CALL_BYTES", len(LARGE) // 2)
    proxy.up = proxy.down = 600_000.0
    await broker.publish([make_envelope(body=LARGE)])
    async with broker.consumer([QUEUE]) as consumer:
        (delivery,) = await broker.claim(consumer, 1)
        assert len(delivery.body) == len(LARGE)
    proxy.up = proxy.down = 0.0
    assert (proxy.commands["send"], proxy.commands["claim"]) == (1, 1)


async def test_claims_of_large_tasks_take_few(broker: PostgresBroker) -> None:
    for _ in range(24):
        await broker.publish([make_envelope(body=LARGE)])
    async with broker.consumer([QUEUE]) as consumer:
        claimed = [len(await broker.claim(consumer, most)) for most in (12, 12, 12)]
    assert claimed == [12, 8, 4]


def test_after_an_answer_that_did_not_come_fewer_are_asked_for() -> None:
    size = ClaimSize()
    asked = []
    for _ in range(5):
        asked.append(size.of(100))
        size.failed(100)
    assert asked == [100, 25, 6, 1, 1]


async def test_large_results_go_in_several_calls(
    broker: PostgresBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await broker.publish([make_envelope()])
    async with broker.consumer([QUEUE]) as consumer:
        deliveries = await broker.claim(consumer, 3)
    calls: Counter[str] = Counter()
    call = link.Link.call

    async def counted(self: link.Link, name: str, *values: Any, **more: Any) -> Any:
        calls[name] += 1
        return await call(self, name, *values, **more)

    monkeypatch.setattr(link.Link, "call", counted)
    outcomes = [
        Finish(one.lease, Status.COMPLETED, result=LARGE, result_ttl=60) for one in deliveries
    ]
    assert await broker.finish(outcomes) == [Receipt.OK] * 3
    assert calls["finish"] == 3
    states = await broker.states(QUEUE, [one.lease.id for one in deliveries])
    assert [state and state.result for state in states] == [LARGE] * 3
