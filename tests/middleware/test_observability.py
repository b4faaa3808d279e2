"""What `docs/observability.md` shows is what happens, and `import ltq` needs none of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import blocks, run

pytestmark = pytest.mark.slow

PAGE = "docs/observability.md"


@pytest.mark.parametrize("number", range(5))
def test_its_blocks_run(number: int, tmp_path: Path) -> None:
    assert len(blocks(PAGE)) == 5
    run(blocks(PAGE)[number], tmp_path)


def test_the_traces_shown_are_those_exported(tmp_path: Path) -> None:
    said = run(blocks(PAGE)[0], tmp_path)
    assert said.count('"trace_id"') > 2
    assert said.index('"name": "create shop:checkout"') < said.index('"process shop:checkout"')


def test_the_metrics_shown_are_those_exported(tmp_path: Path) -> None:
    said = run(blocks(PAGE)[1], tmp_path)
    assert '"name": "messaging.client.sent.messages"' in said
    assert '"name": "messaging.process.duration"' in said


def test_the_tags_shown_are_those_reported(tmp_path: Path) -> None:
    assert "'ltq.task': 'shop:checkout'" in run(blocks(PAGE)[3], tmp_path)


def test_importing_ltq_imports_no_extra() -> None:
    script = (
        "import sys, redis.asyncio\n"  # which looks for OpenTelemetry itself
        "extras = {'opentelemetry', 'prometheus_client', 'sentry_sdk'} - set(sys.modules)\n"
        "import ltq.middleware, ltq.cli\n"
        "print(sorted(extras & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
