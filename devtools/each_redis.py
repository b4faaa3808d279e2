"""Runs the tests that are about the server itself on each Redis and Valkey server in a wheel.

Those in which a server is hurt run there too. The seam runs on the machine's own server as well:
behind Sentinel, and in a cluster with a prefix.

`python -m devtools.each_redis [WHAT PYTEST TAKES]` fails where a test fails or is skipped that
should run, and where a server is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools.redis_versions import CHOSEN, WHEELS, servers_in_wheels, version_of
from devtools.skips import skipped, unwanted

ROOT = Path(__file__).parents[1]

SEAM = ROOT / "tests/conformance/test_seam.py"
"""Workers do the same on all that hold the seam."""

TESTS = (SEAM, *sorted(ROOT.glob("tests/brokers/test_redis_*.py")))
"""The whole seam, and what only Redis has."""

BETWEEN = {"redis-8"}
"""What only Redis has passes here if it does on those of before and after."""

FAULTS = (
    *(ROOT / f"tests/faults/test_{name}.py" for name in ("hostile_keys", "redis_away")),
    ROOT / "tests/faults/test_small_buffers.py",
    ROOT / "tests/faults/redis_sets",
)
"""What the server does when it is killed, paused, full, cut off, or replaced by another."""

MODE = "LTQ_TEST_REDIS_AS"
"""The environment variable that says what the seam runs on instead of one plain server."""

MODES = ("sentinel", "cluster")

CHOICE = "redis and not fakeredis and not rabbitmq and not tls"
"""Other stores are not concerned, and the servers in wheels know no TLS."""


MOST_AGAIN = 3
"""How many failed tests of a run are tried once more. More than these are no flakes."""


def failed_on(name: str, path: str, arguments: Sequence[str]) -> bool:
    """Run the tests on one server; whether one failed, or was skipped without a good reason."""
    title, server = f"{name}: {version_of(path)}", {CHOSEN: path}
    tests = [SEAM] if name in BETWEEN else TESTS
    is_wrong = failed_twice(title, [*map(str, tests), "-k", CHOICE, *arguments], server)
    faults = [*map(str, FAULTS), "-k", "not tls", "-o", "addopts=", "--dist", "worksteal"]
    return failed_twice(f"{title}, under faults", [*faults, *arguments], server) or is_wrong


def failed_as(mode: str, arguments: Sequence[str]) -> bool:
    """Run the seam in one of `MODES`, likewise."""
    return failed_twice(f"as {mode}", [str(SEAM), "-k", CHOICE, *arguments], {MODE: mode})


def failed_twice(title: str, arguments: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Run pytest with more environment variables, likewise.

    Some tests measure times, on a machine that others may use: up to `MOST_AGAIN` that fail are
    tried once more, by themselves.
    """
    shutil.rmtree(ROOT / ".pytest_cache", ignore_errors=True)
    if not failed(title, arguments, variables):
        return False
    if not 1 <= last_failed() <= MOST_AGAIN:
        return True
    again = [*arguments, "-n", "0", "--last-failed"]
    return failed(f"{title}, once more", again, variables)


def last_failed() -> int:
    """How many tests failed in the last run."""
    try:
        return len(json.loads((ROOT / ".pytest_cache/v/cache/lastfailed").read_bytes()))
    except FileNotFoundError:
        return 0


def failed(title: str, arguments: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Run pytest once, likewise."""
    sys.stdout.write(f"{title}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "tests.xml")
        pytest = [sys.executable, "-m", "pytest", "-q", *arguments]
        env = {**os.environ, **variables}
        code = subprocess.run(
            [*pytest, f"--junitxml={report}"], cwd=ROOT, env=env, check=False
        ).returncode
        wrong = unwanted(skipped(report), []) if report.exists() else []
    sys.stdout.writelines(f"skipped, and should have run: {line}\n" for line in wrong)
    return code != 0 or bool(wrong)


def main() -> int:
    """Run them on all; 1 where one failed, or is missing."""
    found = servers_in_wheels()
    missing = [f"{name} of {package}" for name, (package, _) in WHEELS.items() if name not in found]
    if missing:
        sys.stdout.writelines(f"missing: {name}\n" for name in missing)
        return 1
    wrong = [name for name, path in found.items() if failed_on(name, path, sys.argv[1:])]
    wrong += [mode for mode in MODES if failed_as(mode, sys.argv[1:])]
    sys.stdout.writelines(f"failed: {name}\n" for name in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
