"""The sets of servers that tests of Sentinel and Cluster start."""

import os
from collections.abc import Iterator

import pytest
import redis
from redis.crc import key_slot

from devtools.redis_sets.certificates import Certificates
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.fleet import Fleet
from devtools.redis_sets.node import Access
from devtools.redis_sets.sentinel import SentinelSet

pytestmark = pytest.mark.slow

SECRET = Access(password="swordfish", users=("ltq on >perch ~* &* +@all",))


def processes(fleet: Fleet) -> list[int]:
    return [one.pid for one in fleet.members]


@pytest.fixture(scope="module")
def sentinels(redis_executable: str) -> Iterator[SentinelSet]:
    with SentinelSet(redis_executable, access=SECRET, sentinel_access=SECRET) as fleet:
        yield fleet


class TestSentinel:
    def test_another_server_takes_the_place_of_the_master(self, sentinels: SentinelSet) -> None:
        first = sentinels.master
        first.ask("SET", "a", "1")
        assert first.ask("WAIT", len(sentinels.replicas), 2_000) == len(sentinels.replicas)
        first.freeze()
        second = sentinels.wait_for_another(first)
        first.thaw()
        assert second.ask("GET", "a") == "1"
        sentinels.wait_until_agreed()
        assert first in sentinels.replicas
        third = sentinels.fail_over()
        assert third is not second

    def test_they_ask_for_passwords(self, sentinels: SentinelSet) -> None:
        for one in sentinels.members:
            with one.client() as user:
                assert user.execute_command("AUTH", "ltq", "perch")
                with pytest.raises(redis.AuthenticationError):
                    user.execute_command("AUTH", "ltq", "wrong")


@pytest.fixture(scope="module")
def cluster(redis_executable: str) -> Iterator[ClusterSet]:
    with ClusterSet(redis_executable, access=SECRET, hostname="localhost") as fleet:
        yield fleet


class TestCluster:
    def test_it_has_masters_and_replicas(self, cluster: ClusterSet) -> None:
        assert len(cluster.masters) == 3
        assert all(len(cluster.replicas_of(one)) == 1 for one in cluster.masters)
        assert cluster.nodes[0].ask("CLUSTER", "SLOTS")[0][2][0] == "localhost"

    def test_a_replica_takes_the_place_of_its_master(self, cluster: ClusterSet) -> None:
        first = cluster.owner("a")
        first.kill()
        second = cluster.wait_for_another("a", first)
        first.start()
        cluster.wait_until_agreed()
        assert list(cluster.replicas_of(second)) == [first]
        assert cluster.fail_over(second, "TAKEOVER") is cluster.owner("a") is first

    def test_a_slot_goes_to_another_master_with_its_keys(self, cluster: ClusterSet) -> None:
        source = cluster.owner("b")
        source.ask("MSET", *(word for number in range(150) for word in (f"{{b}}{number}", number)))
        target = next(one for one in cluster.masters if one is not source)
        cluster.migrate(key_slot(b"b"), target)
        assert cluster.owner("b") is target
        assert target.ask("GET", "{b}149") == "149"

    def test_it_may_stay_where_it_was(self, cluster: ClusterSet) -> None:
        source = cluster.owner("c")
        move = cluster.slot_move(
            key_slot(b"c"), next(x for x in cluster.masters if x is not source)
        )
        move.begin()
        assert not source.tries("GET", "c")  # ASK: it is not here, so it may be there
        move.undo()
        assert source.tries("GET", "c")
        assert cluster.owner("c") is source


@pytest.mark.parametrize("make", [SentinelSet, ClusterSet])
def test_nothing_is_left_of_it(
    redis_executable: str, make: type[SentinelSet] | type[ClusterSet]
) -> None:
    with make(redis_executable) as fleet:
        fleet.members[-1].freeze()
        pids = processes(fleet)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_sentinels_talk_tls(redis_tls_executable: str, certificates: Certificates) -> None:
    access = Access(certificates=certificates)
    with SentinelSet(redis_tls_executable, access=access, sentinel_access=access) as fleet:
        _talks_tls(fleet)


def test_a_cluster_talks_tls(redis_tls_executable: str, certificates: Certificates) -> None:
    access = Access(certificates=certificates)
    with ClusterSet(redis_tls_executable, replicas=0, access=access) as fleet:
        _talks_tls(fleet)
        source = fleet.owner("a")
        source.ask("SET", "a", "1")
        target = next(one for one in fleet.masters if one is not source)
        fleet.migrate(key_slot(b"a"), target)
        assert target.ask("GET", "a") == "1"


def _talks_tls(fleet: Fleet) -> None:
    assert fleet.url.startswith("rediss+")
    assert all(one.url.startswith("rediss://") for one in fleet.members)
    assert all(one.ask("PING") == "PONG" for one in fleet.members)
