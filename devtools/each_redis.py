"""Runs the tests that are about the server itself on each Redis and Valkey server in a wheel.

`python -m devtools.each_redis [WHAT PYTEST TAKES]` fails where a test fails or is skipped that
should run, and where a server is missing.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devtools.redis_versions import CHOSEN, WHEELS, servers_in_wheels, version_of
from devtools.skips import skipped, unwanted

ROOT = Path(__file__).parents[1]

TESTS = (
    ROOT / "tests/conformance/test_seam.py",
    *sorted(ROOT.glob("tests/brokers/test_redis_*.py")),
)
"""The whole seam, and what only Redis has. Workers do the same on all that hold the seam."""

CHOICE = "redis and not fakeredis and not tls"
"""Other stores are not concerned, and the servers in wheels know no TLS."""


def failed_on(name: str, path: str, arguments: Sequence[str]) -> bool:
    """Run the tests on one server; whether one failed, or was skipped without a good reason."""
    sys.stdout.write(f"{name}: {version_of(path)}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "tests.xml")
        pytest = [sys.executable, "-m", "pytest", "-q", *map(str, TESTS), "-k", CHOICE, *arguments]
        env = {**os.environ, CHOSEN: path}
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
    failed = [name for name, path in found.items() if failed_on(name, path, sys.argv[1:])]
    for what, names in (("missing", missing), ("failed", failed)):
        sys.stdout.writelines(f"{what}: {name}\n" for name in names)
    return 1 if missing or failed else 0


if __name__ == "__main__":
    sys.exit(main())
