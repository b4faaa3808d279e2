"""axe-core, which the tests in a browser use: as it was published."""

import hashlib
import json
from pathlib import Path

AXE = Path(__file__).parent / "browser" / "axe"


def test_it_is_as_it_was_published() -> None:
    (listed,) = json.loads((AXE / "VERSIONS.json").read_text("utf-8"))
    assert hashlib.sha256((AXE / listed["file"]).read_bytes()).hexdigest() == listed["sha256"]
    assert (AXE / listed["license_file"]).read_text("utf-8").startswith("Mozilla Public License")
    assert f"axe v{listed['version']}" in (AXE / listed["file"]).read_text("utf-8")[:100]
