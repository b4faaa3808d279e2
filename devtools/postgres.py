"""Real PostgreSQL servers for tests: each on a free port of its own, in a directory of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from devtools.servers import START_TIMEOUT, free_port

_INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian and its like put the binaries of each version, off the PATH."""

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


def find_postgres() -> Path | None:
    """The folder with `initdb` and `postgres`, of the newest version; None if there is none."""
    on_path = shutil.which("postgres")
    if on_path is not None and shutil.which("initdb") is not None:
        return Path(on_path).parent
    versions = [path for path in _INSTALLED.glob("*/bin") if (path / "initdb").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


def find_pgbouncer() -> str | None:
    """Where a `pgbouncer` is; None if there is none. Debian puts it off the PATH of users."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def unprivileged() -> dict[str, Any]:
    """What `subprocess` needs to run a server: another user, if this one is root."""
    if os.geteuid() != 0:
        return {}
    known = {one.pw_name: one for one in pwd.getpwall()}
    user = next(known[name] for name in _USERS if name in known)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


class PostgresServer:
    """One PostgreSQL server. Stopped or killed, it may be started again, with what it kept.

    `settings` replace those that make it fast for tests.
    """

    def __init__(self, folder: Path, *, port: int | None = None, **settings: str) -> None:
        self.port = port or free_port()
        self._folder = folder
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
            self._process.kill()
            self._gone()

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
        command = [str(self._folder / "initdb"), "-D", f"{self._directory}/data", "-U", "ltq"]
        options = ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [*command, *options],
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
            **self._user,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        self._is_made = True

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
                if b"ready to accept connections" in line:
                    self._accepting = True
                    self._answered.set()
        self._answered.set()  # the end: whoever waits for the start shall see that it failed
