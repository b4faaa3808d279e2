"""The sets of servers that tests of Sentinel and Cluster start."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, NoPermissionError

from devtools.redis_sets.certificates import Certificates
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.node import Access, Node
from devtools.redis_sets.sentinel import SentinelSet
from devtools.redis_sets.server_set import ServerSet

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

RIGHTS = re.findall(
    r"`((?:\+\S+ ?)+)`", (ROOT / "docs/redis-servers.md").read_text("utf-8").replace("\\|", "|")
)
"""Those that the documentation names for clusters and sentinels."""


def secret(is_sentinel: bool = False) -> Access:
    """A password for all, and a user with the rights that the documentation names."""
    rights = [one for one in RIGHTS if one.startswith("+sentinel") is is_sentinel]
    user = f"ltq on >perch resetchannels {' '.join(rights)}"
    return Access(password="swordfish", users=(user,))


def as_user(node: Node, *words: str | int) -> Any:
    """The answer that the user of few rights gets."""
    with node.client() as client:
        client.response_callbacks.clear()
        connection = client.connection_pool.get_connection()
        connection.send_command("AUTH", "ltq", "perch")
        connection.read_response()
        connection.send_command(*words)
        return connection.read_response()


def processes(servers: ServerSet) -> list[int]:
    return [one.pid for one in servers.members]


@pytest.fixture(scope="module")
def sentinels(redis_executable: str) -> Iterator[SentinelSet]:
    with SentinelSet(
        redis_executable, access=secret(), sentinel_access=secret(is_sentinel=True)
    ) as servers:
        yield servers


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
                with pytest.raises(AuthenticationError):
                    user.execute_command("AUTH", "ltq", "wrong")

    def test_a_user_with_the_documented_rights_finds_the_master(
        self, sentinels: SentinelSet
    ) -> None:
        (address,) = {
            tuple(as_user(one, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.name))
            for one in sentinels.sentinels
        }
        assert address == ("127.0.0.1", str(sentinels.master.port))
        assert as_user(sentinels.master, "ROLE")[0] == "master"
        assert as_user(sentinels.master, "WAIT", 0, 1) >= 0
        with pytest.raises(NoPermissionError):
            as_user(sentinels.sentinels[0], "SENTINEL", "FAILOVER", sentinels.name)


@pytest.fixture(scope="module")
def cluster(redis_executable: str) -> Iterator[ClusterSet]:
    with ClusterSet(redis_executable, access=secret(), hostname="localhost") as servers:
        yield servers


class TestCluster:
    def test_it_has_masters_and_replicas(self, cluster: ClusterSet) -> None:
        assert len(cluster.masters) == 3
        assert all(len(cluster.replicas_of(one)) == 1 for one in cluster.masters)
        assert cluster.nodes[0].ask("CLUSTER", "SLOTS")[0][2][0] == "localhost"

    def test_a_user_with_the_documented_rights_finds_the_owners(self, cluster: ClusterSet) -> None:
        slots = as_user(cluster.nodes[-1], "CLUSTER", "SLOTS")
        assert {row[2][1] for row in slots} == {one.port for one in cluster.masters}
        with pytest.raises(NoPermissionError):
            as_user(cluster.nodes[0], "CLUSTER", "NODES")

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

    def test_valkey_moves_a_slot_at_once(self, valkey_executable: str) -> None:
        with ClusterSet(valkey_executable, replicas=0) as servers:
            assert servers.moves_slots_at_once
            source = servers.owner("a")
            source.ask("SET", "a", "1")
            target = next(one for one in servers.masters if one is not source)
            servers.migrate_at_once(key_slot(b"a"), target)
            assert servers.owner("a") is target
            assert target.ask("GET", "a") == "1"

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
    with make(redis_executable) as servers:
        servers.members[-1].freeze()
        pids = processes(servers)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_sentinels_talk_tls(redis_tls_executable: str, certificates: Certificates) -> None:
    access = Access(certificates=certificates)
    with SentinelSet(redis_tls_executable, access=access, sentinel_access=access) as servers:
        _talks_tls(servers)


def test_a_cluster_talks_tls(redis_tls_executable: str, certificates: Certificates) -> None:
    access = Access(certificates=certificates)
    with ClusterSet(redis_tls_executable, replicas=0, access=access) as servers:
        _talks_tls(servers)
        source = servers.owner("a")
        source.ask("SET", "a", "1")
        target = next(one for one in servers.masters if one is not source)
        servers.migrate(key_slot(b"a"), target)
        assert target.ask("GET", "a") == "1"


def _talks_tls(servers: ServerSet) -> None:
    assert servers.url.startswith("rediss+")
    assert all(one.url.startswith("rediss://") for one in servers.members)
    assert all(one.ask("PING") == "PONG" for one in servers.members)
