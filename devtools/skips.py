"""Fails where a test was skipped that should have run: `python -m devtools.skips REPORT.xml`.

The report is that of `pytest --junitxml`. What may be skipped is listed here, with its reason.
"""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from devtools.programs import find_chromium, find_pgbouncer
from devtools.redis_versions import installed_redis_server

ALLOWED = {
    "no systemd-analyze here": "containers have none, as a rule",
    "no tmpfs can be mounted here": "it takes rights; a disk that says it is full is always tested",
    "no localedef here that knows": "it is a part of glibc, in some systems without languages",
    "no promtool here": "it comes with Prometheus; smaller checks of the rules always run",
}
"""What a skip may say, and why that is right also where all is to be checked."""

WITHOUT = {
    "redis-server": {
        "this redis-server was built without TLS": "it is one in a wheel",
    },
    "Chromium": {
        "no chromium on PATH": "a browser is no dependency; all else of the dashboard is tested",
    },
    "pgbouncer": {
        "no pgbouncer": "a pooler is no dependency; what it takes away is tested without one, too",
    },
}
"""What a skip may say besides where the machine has no such program of its own."""

FIND: Mapping[str, Callable[[], object]] = {
    "redis-server": installed_redis_server,
    "Chromium": find_chromium,
    "pgbouncer": find_pgbouncer,
}
"""What tells where each of these programs is, or None."""


def skipped(report: Path) -> dict[str, str]:
    """The tests that were skipped, and what they said. An expected failure is none."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            if skip.get("type") == "pytest.skip":
                name = f"{case.get('classname')}::{case.get('name')}"
                found[name] = skip.get("message") or ""
    return found


def unwanted(found: Mapping[str, str], missing: Collection[str]) -> list[str]:
    """The skips that no reason allows, where these programs of `WITHOUT` are missing."""
    allowed = {*ALLOWED, *(reason for program in missing for reason in WITHOUT[program])}
    return [
        f"{name}: {reason}"
        for name, reason in found.items()
        if not any(one in reason for one in allowed)
    ]


def main() -> int:
    """Tell; 1 where a test should have run."""
    found = skipped(Path(sys.argv[1]))
    wrong = unwanted(found, [program for program, find in FIND.items() if find() is None])
    for line in wrong:
        sys.stdout.write(f"skipped, and should have run: {line}\n")
    sys.stdout.write(f"{len(found)} skipped, {len(wrong)} of them wrongly\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
