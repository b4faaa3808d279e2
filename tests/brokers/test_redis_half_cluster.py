"""A cluster of which a part is away: some slots have no node, or a node does not answer."""

import time
from collections.abc import Iterator

import pytest

import ltq
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.node import Node
from ltq.broker import Severity
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._operations import spread
from ltq.brokers.redis._server.link import CALL_PATIENCE
from ltq.errors import BrokerError
from ltq.names import namespace_of
from tests.conformance.factories import make_envelope
from tests.elapse import elapse
from tests.eventually import eventually

pytestmark = pytest.mark.slow

QUEUES = [f"n{number}:run" for number in range(20)]


@pytest.fixture(scope="module")
def servers(redis_executable: str) -> Iterator[ClusterSet]:
    settings = {"cluster-require-full-coverage": "no"}
    with ClusterSet(redis_executable, replicas=0, settings=settings) as cluster:
        yield cluster


@pytest.fixture
def cluster(servers: ClusterSet) -> ClusterSet:
    """Emptied for this test."""
    servers.empty()
    return servers


@pytest.fixture
def without_slots(cluster: ClusterSet) -> Iterator[Node]:
    """A node that has lost all its slots, and nobody has them."""
    node = cluster.nodes[1]
    told = node.ask("CLUSTER", "SLOTS")
    (slots,) = [range(first, last + 1) for first, last, at in told if at[1] == node.port]
    for one in (node, *cluster.nodes):  # that node first: the others would believe what it says
        one.tries("CLUSTER", "DELSLOTS", *slots)
    yield node
    node.ask("CLUSTER", "ADDSLOTS", *slots)
    cluster.wait_until_agreed()


class TestSlotsWithoutNode:
    async def test_the_doctor_counts_them_and_looks_at_the_others(
        self, cluster: ClusterSet, without_slots: Node
    ) -> None:
        async with RedisBroker(cluster.url) as broker:
            assert await broker.hazards() == []
            findings = await broker.examine()
        (told,) = [one for one in findings if one.name == "cluster"]
        assert told.severity is Severity.DANGER
        assert "slots have no node" in told.text
        rights = [one.text.partition(": ")[0] for one in findings if one.name == "rights"]
        assert rights == [cluster.nodes[0].address, cluster.nodes[2].address]


@pytest.fixture
def frozen(cluster: ClusterSet) -> Iterator[Node]:
    """The node that has `n0`."""
    node = cluster.owner("ltq:{n0}:")
    yield node
    node.thaw()
    cluster.wait_until_agreed()


class TestNodeAway:
    async def test_what_may_be_there_is_not_called_unknown(
        self, cluster: ClusterSet, frozen: Node
    ) -> None:
        async with RedisBroker(cluster.url) as broker:
            envelopes = [make_envelope(queue=queue) for queue in QUEUES]
            await broker.publish(envelopes)
            here = envelopes[[*map(namespace_of, QUEUES)].index(elsewhere(cluster, frozen))]
            frozen.freeze()
            assert await broker.find(here.id) is not None
            with pytest.raises(BrokerError, match="not found where Redis answers, and what is in"):
                await broker.find(envelopes[0].id)
            with pytest.raises(BrokerError, match="not found where Redis answers, and what is in"):
                await broker.dead_letter(None, envelopes[0].id)
            findings = await broker.examine()
        (told,) = [one for one in findings if "cannot be asked" in one.text]
        assert (told.name, told.severity) == ("cluster", Severity.DANGER)
        assert told.text.startswith(frozen.address)

    async def test_it_is_waited_for_once_however_many_namespaces_it_has(
        self, cluster: ClusterSet, frozen: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spread, "_AT_ONCE", 2)
        async with RedisBroker(cluster.url) as broker, broker.clone() as other:
            await broker.publish([make_envelope(queue=queue) for queue in QUEUES])
            frozen.freeze()
            began = time.monotonic()
            found = await other.queues()
            assert time.monotonic() - began < 2 * CALL_PATIENCE
            assert 0 < len(found) < len(QUEUES) - 2, "more than have their turn at once are away"

    async def test_so_it_is_with_schedules(self, cluster: ClusterSet, frozen: Node) -> None:
        async with RedisBroker(cluster.url) as broker:
            scheduler = ltq.Scheduler(broker=broker)
            for queue in QUEUES:
                worker = ltq.Worker(namespace_of(queue), broker=broker)
                task = worker.task(name=queue)(lambda: None)
                await scheduler.put(f"nightly-{worker.name}", "@daily", task.message())
            away, here = "nightly-n0", f"nightly-{elsewhere(cluster, frozen)}"
            frozen.freeze()
            assert [one.name for one in await broker.schedules([here])] == [here]
            for names in ([away], [here, away]):
                with pytest.raises(BrokerError, match="not found where Redis answers"):
                    await broker.schedules(names)
            await scheduler.pause(here)
            with pytest.raises(BrokerError, match="not found where Redis answers"):
                await scheduler.pause(away)


def elsewhere(cluster: ClusterSet, frozen: Node) -> str:
    """A namespace that another node has."""
    names = map(namespace_of, QUEUES)
    return next(one for one in names if cluster.owner(f"ltq:{{{one}}}:") is not frozen)


async def test_a_node_that_refuses_the_password_is_told_of(cluster: ClusterSet) -> None:
    node = cluster.nodes[2]
    for one in cluster.nodes:
        password = ">another" if one is node else ">password"
        one.ask("ACL", "SETUSER", "app", "on", password, "~*", "&*", "+@all")
    async with RedisBroker(cluster.url.replace("//", "//app:password@")) as broker:
        with pytest.raises(BrokerError, match=f"{node.address} refused the user or password"):
            await broker.hazards()
    for one in cluster.nodes:
        one.ask("ACL", "DELUSER", "app")


async def test_a_registry_that_refuses_is_told_of_once(
    cluster: ClusterSet, caplog: pytest.LogCaptureFixture
) -> None:
    """What is sent does not need it, but tools do."""
    for node in cluster.nodes:
        rights = "on >password ~ltq:{* &* +@all -select"
        node.ask("ACL", "SETUSER", "app", *rights.split())
    url = cluster.url.replace("//", "//app:password@")
    async with RedisBroker(url) as broker:
        await broker.publish([make_envelope(queue="n0:run")])
        await broker.publish([make_envelope(queue="n1:run")])
        await elapse(0.5, "it is tried again")
        told = [one for one in caplog.records if one.levelname == "WARNING"]
        assert len(told) == 1
        assert "refuses to note them" in told[0].getMessage()
        for node in cluster.nodes:
            node.ask("ACL", "SETUSER", "app", "~ltq:namespaces")
        registry = cluster.owner("ltq:namespaces")
        await eventually(
            lambda: registry.ask("SCARD", "ltq:namespaces") == 2, description="it is noted"
        )
    for node in cluster.nodes:
        node.ask("ACL", "DELUSER", "app")
