"""Where the programs are that tests run: servers, a pooler, a browser. It needs no package.

`python -m devtools.programs` prints the Debian packages that this machine lacks, a line each.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from devtools.redis_versions import installed_redis_server

_POSTGRES = Path("/usr/lib/postgresql")
"""Where Debian and its like put the binaries of each version, off the PATH."""


def find_postgres() -> Path | None:
    """The folder with `initdb` and `postgres`, of the newest version; None if there is none."""
    on_path = shutil.which("postgres")
    if on_path is not None and shutil.which("initdb") is not None:
        return Path(on_path).resolve().parent  # where its other programs are as well
    versions = [path for path in _POSTGRES.glob("*/bin") if (path / "initdb").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


def find_pgbouncer() -> str | None:
    """Where a `pgbouncer` is; None if there is none. Debian puts it off the PATH of users."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def find_rabbitmq() -> str | None:
    """Where a `rabbitmq-server` is that runs as the user who starts it; None if there is none.

    Debian's, on the PATH, is a wrapper for root and the user `rabbitmq` only.
    """
    return shutil.which("/usr/lib/rabbitmq/bin/rabbitmq-server") or shutil.which("rabbitmq-server")


def find_chromium() -> str | None:
    """Where a Chromium is on the PATH; None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


PACKAGES: Mapping[str, Callable[[], object]] = {
    "redis-server": installed_redis_server,
    "postgresql": find_postgres,
    "pgbouncer": find_pgbouncer,
    "rabbitmq-server": find_rabbitmq,
    "chromium": find_chromium,
}
"""The Debian package of each, and what finds it."""

if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name, find in PACKAGES.items() if find() is None)
