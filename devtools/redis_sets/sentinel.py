"""A Sentinel set for tests: one master with its replicas, and the sentinels that watch them."""

from collections.abc import Iterable, Mapping, Sequence

from devtools.redis_sets.node import Access, Node
from devtools.redis_sets.server_set import AGREE, DisagreementError, ServerSet

DOWN_AFTER = 0.7
"""After how many seconds without an answer a server counts as down."""
FAILOVER_TIMEOUT = 2.0
"""After twice as many seconds a failover that came to nothing is tried again."""


class Sentinel(Node):
    """One sentinel. It keeps what it knows in its file, over a restart as well."""

    NAME = "sentinel"
    READY = b"+monitor master"

    def _lines(self) -> Iterable[tuple[str, str]]:
        if self.access.password is not None:
            yield "sentinel sentinel-pass", self.access.password
        for name, value in self._settings.items():
            yield f"sentinel {name}", value

    def _mode(self) -> Iterable[str]:
        return ("--sentinel",)


class SentinelSet(ServerSet):
    """A master with replicas, and sentinels that make another one the master when it is away.

    `access` holds for the servers, `sentinel_access` for the sentinels.
    """

    def __init__(
        self,
        executable: str,
        *,
        name: str = "mymaster",
        replicas: int = 2,
        sentinels: int = 3,
        access: Access | None = None,
        sentinel_access: Access | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.access = access or Access()
        self.sentinel_access = sentinel_access or Access()
        first = Node(executable, self.access, settings)
        follow = {**(settings or {}), "replicaof": f"127.0.0.1 {first.port}"}
        others = [Node(executable, self.access, follow) for _ in range(replicas)]
        self.servers: Sequence[Node] = (first, *others)
        watch = {
            "monitor": f"{name} 127.0.0.1 {first.port} {sentinels // 2 + 1}",
            "down-after-milliseconds": f"{name} {round(DOWN_AFTER * 1000)}",
            "failover-timeout": f"{name} {round(FAILOVER_TIMEOUT * 1000)}",
            "parallel-syncs": f"{name} {max(replicas, 1)}",
        }
        if self.access.password is not None:
            watch["auth-pass"] = f"{name} {self.access.password}"
        self.sentinels: Sequence[Sentinel] = [
            Sentinel(executable, self.sentinel_access, watch) for _ in range(sentinels)
        ]

    @property
    def members(self) -> Sequence[Node]:
        return (*self.servers, *self.sentinels)

    @property
    def url(self) -> str:
        addresses = ",".join(one.address for one in self.sentinels)
        own = self.sentinel_access.password
        given = {} if own is None else {"sentinel_password": own}
        return self.access.url("redis+sentinel", addresses, f"{self.name}/0", **given)

    @property
    def master(self) -> Node:
        """The server that the sentinels call the master.

        Raises:
            DisagreementError: They name several.
        """
        masters = {self._master_of(one) for one in self.sentinels if one.answers}
        if len(masters) != 1:
            raise DisagreementError(f"{len(masters)} servers are called the master")
        return masters.pop()

    @property
    def masters(self) -> Sequence[Node]:
        """See `ServerSet`."""
        return [self.master]

    @property
    def replicas(self) -> Sequence[Node]:
        """All other servers."""
        return [one for one in self.servers if one is not self.master]

    def fail_over(self, timeout: float = AGREE) -> Node:
        """Let the sentinels make a replica the master, as planned; which one it is then.

        The old master goes on as one for up to ten seconds more, until the sentinels tell it.
        """
        before = self.master
        asked = next(one for one in self.sentinels if one.answers)

        def wrong() -> str:  # it is refused while the last one is not over
            accepted = asked.tries("SENTINEL", "FAILOVER", self.name)
            return "" if accepted else "no sentinel begins a failover"

        self._wait(wrong, timeout)
        return self.wait_for_another(before, timeout)

    def wait_for_another(self, than: Node, timeout: float = AGREE) -> Node:
        """Until the sentinels agree on a master that is not this one; which one it is then.

        The others may not follow it yet: `wait_until_agreed` waits for that, too.
        """

        def wrong() -> str:
            return "still the same" if self.master is than else self._without_role()

        self._wait(wrong, timeout)
        return self.master

    def _start(self) -> None:
        for server in self.servers:
            server.start()
        self._wait(self._apart)  # a sentinel looks for replicas when it starts, then in 10 s
        for sentinel in self.sentinels:
            sentinel.start()

    def _apart(self) -> str:
        """Which servers do not follow the first one yet."""
        first, *others = self.servers
        return ", ".join(one.address for one in others if not _follows(one, first))

    def _master_of(self, sentinel: Sentinel) -> Node:
        _, port = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return next(one for one in self.servers if one.port == int(port))

    def _disagreement(self) -> str:
        if wrong := self._without_role():
            return wrong
        master = self.master
        lost = [
            one.address
            for one in self.servers
            if one.answers and one is not master and not _follows(one, master)
        ]
        blind = [one.address for one in self.sentinels if one.answers and not self._sees_all(one)]
        return " ".join([*(f"{one} follows nobody" for one in lost), *blind])

    def _without_role(self) -> str:
        master = self.master
        is_one = master.answers and master.ask("ROLE")[0] == "master"
        return "" if is_one else f"{master.address} is no master"

    def _sees_all(self, sentinel: Sentinel) -> bool:
        """Whether it knows every other process, and finds all well that answer."""
        seen = _named(sentinel.ask("SENTINEL", "MASTER", self.name))
        replicas = map(_named, sentinel.ask("SENTINEL", "SLAVES", self.name))
        flags = {int(one["port"]): one["flags"] for one in replicas}
        return (
            seen["flags"] == "master"
            and int(seen["num-other-sentinels"]) == len(self.sentinels) - 1
            and len(flags) == len(self.servers) - 1
            and all(flags.get(one.port, "slave") == "slave" for one in self.servers if one.answers)
        )


def _follows(node: Node, master: Node) -> bool:
    role, *rest = node.ask("ROLE")
    return bool(role == "slave" and int(rest[1]) == master.port and rest[2] == "connected")


def _named(words: Sequence[str]) -> dict[str, str]:
    """A list of names and values as a dictionary."""
    return dict(zip(words[::2], words[1::2], strict=True))
