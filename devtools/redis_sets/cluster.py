"""A Redis Cluster for tests: masters that share the slots, each with its replicas."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from redis.crc import key_slot

from devtools.redis_sets.node import Access, Node
from devtools.redis_sets.server_set import AGREE, DisagreementError, ServerSet
from devtools.redis_sets.slot_move import SlotMove
from devtools.servers import free_ports

SLOTS = 16_384
BUS = 10_000
"""How far above a node's port the one is by which nodes talk to one another."""

_ATTEMPT = 6.0
"""For how many seconds a replica tries to be the master when it is told to: a bit more than 5."""


@dataclass(frozen=True)
class _Line:
    """What a node says of one node: a line of `CLUSTER NODES`."""

    id: str
    port: int
    flags: frozenset[str]
    master: str
    epoch: int
    slots: frozenset[int]

    @classmethod
    def parse(cls, line: str) -> "_Line":
        name, address, flags, master, _, _, epoch, _, *slots = line.split()
        port = int(address.partition("@")[0].rpartition(":")[2] or 0)
        own = frozenset(number for words in slots if words[0] != "[" for number in _range(words))
        return cls(name, port, frozenset(flags.split(",")), master, int(epoch), own)

    @property
    def is_master(self) -> bool:
        return "master" in self.flags


def _range(words: str) -> range:
    first, _, last = words.partition("-")
    return range(int(first), int(last or first) + 1)


class ClusterSet(ServerSet):
    """A cluster of `masters`, each with `replicas`.

    `node_timeout` is in seconds: after it a node that does not answer counts as failed. With
    `hostname` the nodes announce that name in place of 127.0.0.1 (from Redis 7.0 on).
    """

    def __init__(
        self,
        executable: str,
        *,
        masters: int = 3,
        replicas: int = 1,
        access: Access | None = None,
        settings: Mapping[str, str] | None = None,
        node_timeout: float = 1.5,
        hostname: str | None = None,
    ) -> None:
        self.access = access or Access()
        own = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(round(node_timeout * 1000)),
            "cluster-replica-validity-factor": "0",  # a replica may always stand in
            "cluster-migration-barrier": "99",  # and stays with its master
        }
        if hostname is not None:
            own["cluster-announce-hostname"] = hostname
            own["cluster-preferred-endpoint-type"] = "hostname"
        count = masters * (1 + replicas)
        first = free_ports(count, and_above=BUS)
        self.nodes: Sequence[Node] = [
            Node(executable, self.access, {**own, **(settings or {})}, port=first + number)
            for number in range(count)
        ]
        """The first `masters` are masters at the start; the others follow them in turns."""
        self._masters = masters

    @property
    def members(self) -> Sequence[Node]:
        return self.nodes

    @property
    def url(self) -> str:
        return self.access.url("redis+cluster", ",".join(one.address for one in self.nodes), "")

    @property
    def masters(self) -> Sequence[Node]:
        """Those that answer and own slots."""
        return [one for one in self.nodes if one.answers and self._own_line(one).slots]

    def owner(self, key: str | int) -> Node:
        """Who has a key, or a slot: that of the nodes that say they have it who said so last.

        Raises:
            DisagreementError: No node that answers says so.
        """
        slot = key if isinstance(key, int) else key_slot(key.encode())
        lines = {one: self._own_line(one) for one in self.nodes if one.answers}
        owners = [one for one, line in lines.items() if line.is_master and slot in line.slots]
        if not owners:
            raise DisagreementError(f"nobody has slot {slot}")
        return max(owners, key=lambda one: lines[one].epoch)

    def replicas_of(self, master: Node) -> Sequence[Node]:
        """Those that answer and follow it."""
        answering = [one for one in self.nodes if one.answers and one is not master]
        wanted = self.id_of(master)
        return [one for one in answering if self._own_line(one).master == wanted]

    def id_of(self, node: Node) -> str:
        """By what the cluster knows it; also of one that does not answer."""
        lines = self._lines(node if node.answers else next(x for x in self.nodes if x.answers))
        return next(line.id for line in lines if line.port == node.port)

    def fail_over(self, master: Node, how: str = "", timeout: float = AGREE) -> Node:
        """Let a replica take the place of a master; which one it is.

        As planned, with the master's help; or `how="FORCE"`, without it; or `how="TAKEOVER"`,
        without anybody's.
        """
        replica, until = self.replicas_of(master)[0], time.monotonic() + timeout
        while True:
            replica.ask("CLUSTER", "FAILOVER", *filter(None, [how]))
            try:
                self._wait(lambda: self._not_master(replica), _ATTEMPT)
            except TimeoutError:  # masters vote for one replica of a shard within two node timeouts
                if time.monotonic() > until:
                    raise
            else:
                return replica

    def wait_for_another(self, key: str | int, than: Node, timeout: float = AGREE) -> Node:
        """Until all agree that a key or slot has another owner than this; which one it is then."""

        def wrong() -> str:
            return self._disagreement() or "still the same" * (self.owner(key) is than)

        self._wait(wrong, timeout)
        return self.owner(key)

    def slot_move(self, slot: int, target: Node) -> SlotMove:
        """A migration of a slot as it always was, in steps."""
        source, others = self.owner(slot), [one for one in self.masters if one is not target]
        ids = (self.id_of(source), self.id_of(target))
        return SlotMove(slot, source, target, *ids, [one for one in others if one is not source])

    def migrate(self, slot: int, target: Node) -> None:
        """Move a slot as it always was: key after key, and whoever asks is sent on."""
        move = self.slot_move(slot, target)
        move.begin()
        move.move_keys()
        move.end()
        self.wait_until_agreed()

    @property
    def moves_slots_at_once(self) -> bool:
        """Whether the servers know the atomic migration of Valkey 9."""
        return bool(self.nodes[0].ask("COMMAND", "INFO", "CLUSTER|MIGRATESLOTS")[0])

    def migrate_at_once(self, slot: int, target: Node, timeout: float = AGREE) -> None:
        """Move a slot in one step, as Valkey 9 does."""
        words = ("SLOTSRANGE", slot, slot, "NODE", self.id_of(target))
        self.owner(slot).ask("CLUSTER", "MIGRATESLOTS", *words)

        def wrong() -> str:
            is_there = self.owner(slot) is target
            return self._disagreement() if is_there else f"slot {slot} did not move"

        self._wait(wrong, timeout)

    def _start(self) -> None:
        super()._start()
        for number, node in enumerate(self.nodes, 1):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node in self.nodes:
            for other in self.nodes:
                node.ask("CLUSTER", "MEET", "127.0.0.1", other.port)
        masters, replicas = self.nodes[: self._masters], self.nodes[self._masters :]
        edges = [SLOTS * number // len(masters) for number in range(len(masters) + 1)]
        for master, (first, end) in zip(masters, pairwise(edges), strict=True):
            master.ask("CLUSTER", "ADDSLOTS", *range(first, end))
        for number, replica in enumerate(replicas):
            self._follow(replica, masters[number % len(masters)])

    def _follow(self, replica: Node, master: Node) -> None:
        """It can only once it knows the master, by its real name."""
        self._wait(
            lambda: (
                ""
                if replica.tries("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
                else f"{replica.address} does not follow {master.address}"
            )
        )

    def _not_master(self, node: Node) -> str:
        is_master = self._own_line(node).is_master
        return self._disagreement() if is_master else f"{node.address} is no master"

    def _lines(self, node: Node) -> Sequence[_Line]:
        return [_Line.parse(line) for line in node.ask("CLUSTER", "NODES").splitlines()]

    def _own_line(self, node: Node) -> _Line:
        return next(line for line in self._lines(node) if "myself" in line.flags)

    def _disagreement(self) -> str:
        asked = [one for one in self.nodes if one.answers]
        views = {one: self._view(one) for one in asked}
        if len({*views.values()}) != 1:
            return "they do not agree who has which slots"
        for one in asked:
            if (state := one.info("CLUSTER", "INFO")["cluster_state"]) != "ok":
                return f"{one.address} calls the state {state}"
            role = one.ask("ROLE")
            if role[0] == "slave" and role[3] != "connected":
                return f"{one.address} is not connected to its master"
        return ""

    def _view(self, node: Node) -> frozenset[tuple[str, frozenset[int], str]]:
        """Whom a node sees that answers: with its slots, or whom it follows."""
        answering = {one.port for one in self.nodes if one.answers}
        lines = [line for line in self._lines(node) if line.port in answering]
        known = len(lines) == len(answering) and not any("handshake" in one.flags for one in lines)
        return frozenset((x.id, x.slots, x.master) for x in lines) if known else frozenset()
