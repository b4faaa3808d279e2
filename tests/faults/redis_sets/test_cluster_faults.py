"""Nodes of a cluster go, stand still or are replaced: who is not there holds up nobody else."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from devtools.ledger import Ledger
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.node import Node
from devtools.workers import Fleet
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.names import namespace_of
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.load import Load
from tests.faults.redis_sets.accounts import SOON, told
from tests.faults.redis_sets.conftest import Served

pytestmark = pytest.mark.slow

_LAST = 20
"""How many sends a master may have acknowledged that no replica has when it ends: replication is
asynchronous. Those of an instant, at the rate of the load."""

ONE_OF_BOTH = "tests.faults.jobs:both"

FAULTS, OTHERS = "ltq:{faults}:", "ltq:{others}:"
"""The namespaces of the two workers; their slots are of two masters."""


@pytest.fixture
def cluster(redis_executable: str) -> Iterator[ClusterSet]:
    with ClusterSet(redis_executable) as cluster:
        assert cluster.owner(FAULTS) is not cluster.owner(OTHERS)
        yield cluster


async def test_a_master_that_is_killed_is_replaced(
    cluster: ClusterSet, served: Served, ledger: Ledger
) -> None:
    async with (
        served(cluster.url),
        Load(ledger) as load,
        Load(ledger, task=jobs.double_elsewhere) as other,
    ):
        master = cluster.owner(FAULTS)
        master.kill()
        assert await other.flows() <= SOON  # at once: it has a node of its own
        await asyncio.to_thread(cluster.wait_for_another, FAULTS, master)
        assert await load.flows() <= SOON
        account = told("cluster, master killed", await load.account())
        beside = told("cluster, another master killed", await other.account())
    assert account.lost <= _LAST
    assert (beside.lost, beside.refused) == (0, 0)


async def test_a_worker_with_nothing_to_do_notices_that_one_stands_still(
    cluster: ClusterSet, served: Served
) -> None:
    """It only waits, on a connection that hangs as well."""
    async with served(cluster.url):
        await elapse(0.5, "the worker waits for something to do")
        master = cluster.owner(FAULTS)
        master.freeze()
        await asyncio.to_thread(cluster.wait_for_another, FAULTS, master)
        async with RedisBroker(cluster.url) as fresh:
            jobs.worker.broker = fresh
            assert await (await jobs.double.send(2)).result(SOON) == 4
        master.thaw()


async def test_one_that_stands_still_is_replaced(
    cluster: ClusterSet, served: Served, ledger: Ledger
) -> None:
    """When it goes on it takes itself for the master, until it hears of the other one."""
    async with (
        served(cluster.url),
        Load(ledger) as load,
        Load(ledger, task=jobs.double_elsewhere) as other,
    ):
        master = cluster.owner(FAULTS)
        master.freeze()
        assert await other.flows() <= SOON
        await asyncio.to_thread(cluster.wait_for_another, FAULTS, master)
        assert await load.flows() <= SOON
        master.thaw()
        await asyncio.to_thread(cluster.wait_until_agreed)
        assert await load.flows() <= SOON
        account = told("cluster, master paused", await load.account())
        beside = told("cluster, another master paused", await other.account())
    assert account.lost <= _LAST
    assert (beside.lost, beside.refused) == (0, 0)


@pytest.mark.parametrize("how", ["", "FORCE", "TAKEOVER"])
async def test_a_replica_takes_over_as_it_is_told(
    cluster: ClusterSet, served: Served, ledger: Ledger, how: str
) -> None:
    async with served(cluster.url), Load(ledger) as load:
        for _ in range(2):
            await asyncio.to_thread(cluster.fail_over, cluster.owner(FAULTS), how)
            assert await load.flows() <= SOON
            await asyncio.to_thread(cluster.wait_until_agreed)
        account = told(f"cluster, two failovers {how or 'as planned'}", await load.account())
    assert account.lost <= (2 * _LAST if how else 0)
    assert account.refused == 0


async def test_without_most_masters_it_says_so_and_comes_back(
    cluster: ClusterSet, served: Served, ledger: Ledger
) -> None:
    """The nodes that are left know that they are few, and serve nobody."""
    async with served(cluster.url) as broker, Load(ledger) as load:
        kept = cluster.owner(FAULTS)
        away = [one for one in cluster.nodes if one is not kept]
        for node in away:
            node.kill()
        await eventually(lambda: load.refused, 15, "a send is refused")
        with pytest.raises(BrokerError, match="cluster") as refused:
            async with asyncio.timeout(5.5):
                await broker.ping()
        assert "\n" not in str(refused.value)
        for node in away:
            node.start()
        await asyncio.to_thread(cluster.wait_until_agreed)
        assert await load.flows() <= SOON
        account = told("cluster, five of six nodes away", await load.account())
    assert account.lost == 0
    assert max(took for took, _ in load.refused) <= 5.5


async def test_a_dead_node_is_left_out_of_what_is_told(
    redis_executable: str, served: Served, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Without replicas its namespaces are unknown; those of other nodes are told."""
    settings = {"cluster-require-full-coverage": "no"}
    with ClusterSet(redis_executable, replicas=0, settings=settings) as cluster:
        async with served(cluster.url) as broker:
            await jobs.double.send(1)
            there = await jobs.double_elsewhere.send(1)
            await there.result(10)
            cluster.owner(FAULTS).kill()
            async with asyncio.timeout(15):
                assert {namespace_of(queue) for queue in await broker.queues()} == {"others"}
                found = await broker.find(there.id)
                assert found is not None
                await broker.workers()
            with pytest.raises(BrokerError):
                await broker.stats(["faults"])
        assert "faults" in caplog.text


async def test_what_runs_for_a_node_that_is_away_holds_up_no_other(
    redis_executable: str, fleet: Fleet, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of both goes on to write outcomes, and to renew leases, where it is answered."""
    settings = {"cluster-require-full-coverage": "no"}
    with ClusterSet(redis_executable, replicas=0, settings=settings) as cluster:
        async with RedisBroker(cluster.url) as broker:
            monkeypatch.setattr(jobs.both, "broker", broker)
            worker = await fleet.start(cluster.url, target=[ONE_OF_BOTH], lease=3.0)
            async with Load(ledger, task=jobs.double_beside) as load:
                away = await jobs.hold_in_both.send("away")
                there = await jobs.hold_beside.send("there")
                await eventually(lambda: {away.id, there.id} <= ledger.ids("start"), 15, "both run")
                node = cluster.owner(FAULTS)
                node.freeze()
                ledger.open("away")
                await worker.logged("outcomes wait to be written", 15)
                for _ in range(9):
                    assert await load.flows() <= SOON
                    await elapse(1.0, "three leases end, unless they are renewed")
                account = told("cluster, a node away whose task runs", await load.account())
                assert there.id not in ledger.ids("end")
                ledger.open("there")
                await there.result(5)
                node.thaw()
                await away.result(20)
        starts = Counter(one.id for one in ledger.events("start"))
    assert account.gap < 5.5  # once: the claim during which the node goes
    assert (account.lost, account.refused) == (0, 0)
    assert (starts[away.id], starts[there.id]) == (1, 1)


async def _moves(cluster: ClusterSet, load: Load, target: Node) -> None:
    """Move the slot of the load to a master, as it always was."""
    slot = _slot(cluster)
    await asyncio.to_thread(cluster.migrate, slot, target)
    assert cluster.owner(slot) is target
    assert await load.flows() <= SOON


def _slot(cluster: ClusterSet) -> int:
    return int(cluster.nodes[0].ask("CLUSTER", "KEYSLOT", FAULTS))


async def test_a_slot_moves_there_and_back(
    cluster: ClusterSet, served: Served, ledger: Ledger
) -> None:
    async with served(cluster.url), Load(ledger) as load:
        home = cluster.owner(FAULTS)
        await _moves(cluster, load, cluster.owner(OTHERS))
        await _moves(cluster, load, home)
        account = told("cluster, a slot moved there and back", await load.account())
    assert account.lost == 0


async def test_one_that_takes_longer_than_the_patience_of_a_call(
    cluster: ClusterSet, served: Served, ledger: Ledger
) -> None:
    """Scripts wait while their keys are at two nodes; then calls fail, and all comes back."""
    async with served(cluster.url), Load(ledger) as load:
        move = cluster.slot_move(_slot(cluster), cluster.owner(OTHERS))
        await asyncio.to_thread(move.begin)
        await asyncio.to_thread(move.move_keys, 3)
        await eventually(lambda: load.refused, 15, "a send is refused")
        await asyncio.to_thread(move.move_keys)
        await asyncio.to_thread(move.end)
        await asyncio.to_thread(cluster.wait_until_agreed)
        assert await load.flows() <= SOON
        account = told("cluster, a slot under way for long", await load.account())
    assert account.lost == 0


async def test_valkey_moves_a_slot_at_once(
    valkey_executable: str, served: Served, ledger: Ledger
) -> None:
    with ClusterSet(valkey_executable) as cluster:
        async with served(cluster.url), Load(ledger) as load:
            home = cluster.owner(FAULTS)
            for target in (cluster.owner(OTHERS), home):
                await asyncio.to_thread(cluster.migrate_at_once, _slot(cluster), target)
                assert await load.flows() <= SOON
            account = told("cluster, a slot moved at once and back", await load.account())
    assert (account.lost, account.refused) == (0, 0)


async def test_nobody_follows_a_slot_by_asking(cluster: ClusterSet, served: Served) -> None:
    """A script that asks the target of a move would make a second queue there."""
    async with served(cluster.url):
        assert await (await jobs.double.send(1)).result(10) == 2
        target = cluster.owner(OTHERS)
        move = cluster.slot_move(_slot(cluster), target)
        await asyncio.to_thread(move.begin)
        with pytest.raises(BrokerError, match="slot"):
            await jobs.double.send(2)
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", _slot(cluster)) == 0
        assert "asking" not in target.info("INFO", "commandstats")
        await asyncio.to_thread(move.undo)
        assert await (await jobs.double.send(3)).result(10) == 6
