"""A master behind Sentinel goes, stands still or is replaced: senders and workers go on."""

import asyncio
from collections.abc import Iterator

import pytest

from devtools.ledger import Ledger
from devtools.redis_sets.sentinel import SentinelSet
from devtools.workers import Fleet
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Envelope, new_id
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.load import Load
from tests.faults.redis_sets.accounts import SOON, told
from tests.faults.redis_sets.conftest import Served

pytestmark = pytest.mark.slow

_LAST = 20
"""How many sends a master may have acknowledged that no replica has when it ends: replication is
asynchronous. Those of an instant, at the rate of the load."""


@pytest.fixture
def sentinels(redis_executable: str) -> Iterator[SentinelSet]:
    with SentinelSet(redis_executable) as servers:
        yield servers


async def test_a_master_that_is_killed_is_replaced(
    sentinels: SentinelSet, served: Served, ledger: Ledger
) -> None:
    async with served(sentinels.url), Load(ledger) as load:
        master = sentinels.master
        master.kill()
        await asyncio.to_thread(sentinels.wait_for_another, master)
        assert await load.flows() <= SOON
        account = told("sentinel, master killed", await load.account())
    assert account.lost <= _LAST


async def test_one_that_stands_still_is_replaced(
    sentinels: SentinelSet, served: Served, ledger: Ledger
) -> None:
    async with served(sentinels.url), Load(ledger) as load:
        master = sentinels.master
        master.freeze()
        await asyncio.to_thread(sentinels.wait_for_another, master)
        assert await load.flows() <= SOON
        master.thaw()
        await asyncio.to_thread(sentinels.wait_until_agreed)
        assert await load.flows() <= SOON
        account = told("sentinel, master paused", await load.account())
    assert account.lost <= _LAST


async def test_there_and_back_as_planned(
    sentinels: SentinelSet, served: Served, ledger: Ledger
) -> None:
    async with served(sentinels.url), Load(ledger) as load:
        for _ in range(2):
            await asyncio.to_thread(sentinels.fail_over)
            assert await load.flows() <= SOON
            await asyncio.to_thread(sentinels.wait_until_agreed)
        assert await load.flows() <= SOON
        account = told("sentinel, two planned failovers", await load.account())
    assert account.lost <= 2 * _LAST


async def test_one_that_was_replaced_is_left_before_it_is_told(sentinels: SentinelSet) -> None:
    """It goes on as a master for ten seconds, and what it accepts is lost."""
    async with RedisBroker(sentinels.url) as broker:
        await broker.ping()
        old = sentinels.master
        new = await asyncio.to_thread(sentinels.fail_over)

        async def is_left() -> bool:
            envelope = Envelope(id=new_id(), queue="faults", task_name="double", body=b"{}")
            await broker.publish([envelope])
            return bool(new.ask("EXISTS", f"ltq:{{faults}}:task:{envelope.id}"))

        await eventually(is_left, 5.0, "sends go to the new master")
        assert old.ask("ROLE")[0] == "master"


async def test_one_that_is_told_to_follow_another_is_not_used(
    sentinels: SentinelSet, served: Served, ledger: Ledger
) -> None:
    """By hand, so the sentinels still name it."""
    async with served(sentinels.url), Load(ledger) as load:
        master, replica = sentinels.master, sentinels.replicas[0]
        master.ask("REPLICAOF", "127.0.0.1", replica.port)
        await eventually(lambda: load.refused, 10, "a send is refused")
        assert "the sentinels still name a server that is a replica now" in str(load.refused[0][1])
        master.ask("REPLICAOF", "NO", "ONE")
        assert await load.flows() <= SOON
        account = told("sentinel, master demoted by hand, and back", await load.account())
    assert account.lost <= _LAST


async def test_without_sentinels_what_is_connected_goes_on(
    sentinels: SentinelSet, served: Served, ledger: Ledger
) -> None:
    async with served(sentinels.url), Load(ledger) as load:
        for sentinel in sentinels.sentinels:
            sentinel.kill()
        assert await load.flows() <= SOON
        with pytest.raises(BrokerError, match="sentinel"):
            async with asyncio.timeout(5.0), RedisBroker(sentinels.url) as late:
                await late.ping()
        for sentinel in sentinels.sentinels:
            sentinel.start()
        async with RedisBroker(sentinels.url) as late:
            await late.ping()
        await load.finish()


async def test_a_wait_outlives_a_failover(
    sentinels: SentinelSet, served: Served, ledger: Ledger, fleet: Fleet
) -> None:
    async with served(sentinels.url):
        handle = await jobs.hold.send("gate")
        waiting = asyncio.create_task(handle.result(60))
        async with Load(ledger) as load:
            master = sentinels.master
            master.kill()
            await asyncio.to_thread(sentinels.wait_for_another, master)
            assert await load.flows() <= SOON
            ledger.open("gate")
            assert await waiting in {worker.pid for worker in fleet.workers}
