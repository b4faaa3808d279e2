"""One server of several: it keeps its settings in a file, which Sentinel and Cluster rewrite."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from devtools.redis_sets.certificates import Certificates
from devtools.servers import RedisServer

_PATIENCE = 2.0
"""For how many seconds an answer is waited for: one that takes longer is as none."""

_QUICK = {
    "save": '""',
    "appendonly": "no",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "0",
}
"""Nothing is kept on disk, and a replica has its copy at once."""


@dataclass(frozen=True)
class Access:
    """What servers ask of those who call them."""

    password: str | None = None
    """Of the default user; servers use it among themselves, too."""
    users: tuple[str, ...] = ()
    """More users, as `ACL SETUSER` takes them: `("ltq on >secret ~* &* +@all",)`."""
    certificates: Certificates | None = None
    """With them they talk TLS, and nothing else."""

    def settings(self, port: int) -> list[tuple[str, str]]:
        """Lines of the file of a server or sentinel on this port."""
        lines = [("bind", "127.0.0.1"), *(("user", rule) for rule in self.users)]
        if self.password is not None:
            lines.append(("requirepass", self.password))
        if self.certificates is None:
            return [*lines, ("port", str(port))]
        both = ("replication", "cluster")
        return [
            *lines,
            ("port", "0"),
            ("tls-port", str(port)),
            ("tls-auth-clients", "no"),
            *((f"tls-{one}", "yes") for one in both),
            *self.certificates.settings.items(),
        ]

    def url(self, scheme: str, addresses: str, path: str, **parameters: str) -> str:
        """A URL of a client: the scheme is that without TLS, such as `redis+cluster`."""
        if self.certificates is not None:
            scheme = scheme.replace("redis", "rediss", 1)
            parameters["ssl_ca_certs"] = self.certificates.authority
        user = "" if self.password is None else f":{self.password}@"
        query = f"?{urlencode(parameters)}" if parameters else ""
        return f"{scheme}://{user}{addresses}/{path}{query}"


class Node(RedisServer):
    """One server of a set. What `CONFIG REWRITE` has written still holds after a restart."""

    def __init__(
        self,
        executable: str,
        access: Access,
        settings: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> None:
        super().__init__(executable, port=port)
        self.access = access
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        return self.access.url("redis", self.address, "0")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def answers(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.is_running and not self.is_frozen

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def client(self) -> redis.Redis:
        """A client of the default user, which answers texts and repeats nothing; close it."""
        return redis.Redis.from_url(
            self.url,
            decode_responses=True,
            protocol=2,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )

    def ask(self, *words: str | int) -> Any:
        """The raw answer to one command."""
        with self.client() as client:
            client.response_callbacks.clear()
            return client.execute_command(*words)

    def info(self, *words: str) -> dict[str, str]:
        """The lines of an answer such as that of `CLUSTER INFO`, by their names."""
        lines = (line.split(":", 1) for line in str(self.ask(*words)).splitlines() if ":" in line)
        return dict(lines)

    def tries(self, *words: str | int) -> bool:
        """Whether a command was done; False where it was refused, or not answered."""
        try:
            self.ask(*words)
        except RedisError:
            return False
        return True

    def _command(self) -> list[str]:
        file = Path(self._directory, "node.conf")
        if not file.exists():
            lines = [*self.access.settings(self.port), *self._lines()]
            file.write_text("".join(f"{name} {value}\n" for name, value in lines))
        return [self._executable, str(file), *self._mode()]

    def _lines(self) -> Iterable[tuple[str, str]]:
        """Its own lines of the file, when it is written for the first time."""
        own = {**_QUICK, **self._settings}
        if self.access.password is not None:
            own["masterauth"] = self.access.password
        return own.items()

    def _mode(self) -> Iterable[str]:
        """What follows the name of the file."""
        return ()
