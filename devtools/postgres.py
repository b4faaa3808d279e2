"""Real PostgreSQL servers for tests: each on a free port of its own, in a directory of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg

from devtools.servers import START_TIMEOUT, free_port

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


class PostgresServer:
    """One PostgreSQL server. Stopped or killed, it may be started again, with what it kept.

    `settings` replace those that make it fast for tests. With `standby_of` it is a copy of another
    one that runs, and follows it until it is promoted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        standby_of: "PostgresServer | None" = None,
        **settings: str,
    ) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._primary = standby_of
        self._settings = {**_SETTINGS, **settings}
        self._user = unprivileged()
        self._directory = tempfile.mkdtemp(prefix="ltq-postgres-")
        weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        if self._user:
            os.chown(self._directory, self._user["user"], self._user["group"])
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._answered = threading.Event()
        self._accepting = False
        self.output: list[str] = []
        """What the server logged, for a look at a failure."""
        self._is_made = False

    @property
    def url(self) -> str:
        return f"postgresql://ltq@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        assert self._process is None, "the server is running"
        self._make()
        self._answered.clear()
        self._accepting = False
        self._process = subprocess.Popen(
            self._command(),
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **self._user,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout])
        self._reader.start()
        self._answered.wait(START_TIMEOUT)
        if not self._accepting:
            self.kill()
            raise RuntimeError("postgres did not start:\n" + "".join(self.output))

    def stop(self) -> None:
        """Shut down as an administrator would, at once; nothing if it is not running."""
        if self._process is not None:
            self._process.send_signal(2)
            self._gone()

    def kill(self) -> None:
        """Shut down as a crash would; nothing if it is not running."""
        if self._process is not None:
            self._signal_all(signal.SIGKILL)
            self._gone()

    def freeze(self) -> None:
        """Stop all of its processes, as a machine does that hangs. Connections stay open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

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
            **self._user,
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

    def _gone(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._reader is not None:
            self._reader.join()
        self._process = self._reader = None

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.output.append(line.decode(errors="replace"))
                if b"ready to accept" in line:  # connections, or read-only ones
                    self._accepting = True
                    self._answered.set()
        self._answered.set()  # the end: whoever waits for the start shall see that it failed
