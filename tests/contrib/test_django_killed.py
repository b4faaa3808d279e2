"""A task of Django's whose worker is killed."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ltq
from devtools.source import ROOT
from tests.contrib import sites
from tests.eventually import eventually

WORK = """if True:
    import asyncio, sys
    from ltq.contrib.django.project import project_app
    from tests.contrib import sites
    with sites.project(sites.LETTERS, TASKS={"default": sites.backend(sys.argv[1])}):
        app = project_app()
        app.workers[0].lease = 1  # it is given up soon
        asyncio.run(app.run())
"""


def start_worker(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORK, url], cwd=ROOT)


@pytest.mark.slow
def test_it_runs_again_and_knows_its_attempt(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    with sites.project(sites.LETTERS, TASKS={"default": sites.backend(url)}):
        from tests.contrib.letters.tasks import die_once

        result = die_once.enqueue()
        assert start_worker(url).wait(30) == -signal.SIGKILL
        result.refresh()
        assert result.status == "RUNNING"
        worker = start_worker(url)
        try:

            def has_finished() -> bool:
                result.refresh()
                return bool(result.is_finished)

            asyncio.run(eventually(lambda: asyncio.to_thread(has_finished), 30))
        finally:
            worker.terminate()
            assert worker.wait(30) == 0
        assert (result.return_value, result.attempts, result.worker_ids[0]) == (2, 2, "unknown")
    ltq.close_sync()
