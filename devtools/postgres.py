"""Real PostgreSQL servers for tests: each on a free port of its own, in a directory of its own."""

import os
import pwd
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from devtools.servers import Server

_USERS = ("postgres", "nobody")
"""Who runs a server that root starts: PostgreSQL refuses to run as root."""

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "log_min_messages": "warning",
}
"""Fast for tests. A power cut would lose everything, and a killed server its last moments, unless
`synchronous_commit` is on."""


def unprivileged() -> dict[str, Any]:
    """What `subprocess` needs to run a server: another user, if this one is root."""
    if os.geteuid() != 0:
        return {}
    known = {one.pw_name: one for one in pwd.getpwall()}
    user = next(known[name] for name in _USERS if name in known)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


class PostgresServer(Server):
    """One PostgreSQL server.

    `settings` replace those that make it fast for tests. With `standby_of` it is a copy of another
    one that runs, and follows it until it is promoted.
    """

    NAME = "postgres"
    READY = b"ready to accept"
    """Connections, or those that only read."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        standby_of: "PostgresServer | None" = None,
        **settings: str,
    ) -> None:
        super().__init__(port)
        self._folder = folder
        self._primary = standby_of
        self._settings = {**_SETTINGS, **settings}
        self._owner = unprivileged()
        if self._owner:
            os.chown(self._directory, self._owner["user"], self._owner["group"])
        self._is_made = False

    @property
    def url(self) -> str:
        return f"postgresql://ltq@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Make its files, if there are none yet; start, and wait until connections are accepted."""
        self._make()
        super().start()

    def kill_one(self) -> None:
        """End one of its processes as the kernel does that is out of memory. All others end."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.url) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
            victim.execute("SELECT 1")

    def accepts(self) -> bool:
        """Whether it accepts connections."""
        with suppress(psycopg.OperationalError):
            self.execute("SELECT 1")
            return True
        return False

    def promote(self) -> None:
        """Let a standby be a primary of its own, and wait until it is."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute("SELECT pg_promote()")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement of the administrator's; none if it gives none."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as admin:
            cursor = admin.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _signal_all(self, number: signal.Signals) -> None:
        """To the server and its children: the first one first, so that it sees none of them end."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        for pid in (self.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _make(self) -> None:
        """Make the files of the server, once."""
        if self._is_made:
            return
        made = subprocess.run(
            self._initdb() if self._primary is None else self._copy_of(self._primary),
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
            **self._owner,
        )
        if made.returncode != 0:
            raise RuntimeError(f"no data were made:\n{made.stdout}{made.stderr}")
        self._is_made = True

    def _initdb(self) -> list[str]:
        command = [str(self._folder / "initdb"), "-D", f"{self._directory}/data", "-U", "ltq"]
        return [*command, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]

    def _copy_of(self, primary: "PostgresServer") -> list[str]:
        """Copies its data, and writes how to follow it."""
        command = [str(self._folder / "pg_basebackup"), "-D", f"{self._directory}/data"]
        return [*command, "-d", primary.url, "-R", "-X", "stream", "-c", "fast", "--no-sync"]

    def _command(self) -> list[str]:
        settings = {**self._settings, "unix_socket_directories": self._directory}
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        address = ["-D", f"{self._directory}/data", "-p", str(self.port)]
        return [str(self._folder / "postgres"), *address, *given]

    def _user(self) -> dict[str, Any]:
        return self._owner

    def _end(self) -> None:
        os.kill(self.pid, signal.SIGINT)  # at once: sessions are not waited for
