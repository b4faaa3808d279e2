"""Every block of Python on every page runs.

A block with an `asyncio.run(...)` of its own is a program, and runs by itself. The others of a page
belong together: they run in order in one process, where top-level `await` is allowed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devtools.forks import run_python
from tests.docs.pages import PAGES, README, ROOT, Block, name_of, python_of

pytestmark = pytest.mark.slow

ELSEWHERE = {
    "docs/testing.md": "its blocks are tests, and run as such in tests/testing/test_plugin.py",
    "docs/tutorial.md": "it is followed step by step in test_docs_tutorial.py",
}
"""Pages whose blocks run in another way."""

STAGE = {
    "README.md": {
        "handle = fetch.handle(": """
            async def answer(url: str) -> int:
                return len(url)
            fetch.fn = answer
            handle = await fetch.send("https://example.org")
            handles = [await fetch.send("a"), await fetch.send("bc")]
            await worker.__aenter__()
        """,
        '@worker.cron("0 3 * * *"': "await worker.__aexit__()",
    },
    "docs/django.md": {
        "from django.tasks import task": """
            import sys
            import django
            from django.conf import settings
            database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
            settings.configure(
                INSTALLED_APPS=["ltq.contrib.django", "django.contrib.auth",
                    "django.contrib.contenttypes", "django.contrib.sessions"],
                DATABASES={"default": database}, TASKS=TASKS, ROOT_URLCONF="page",
                SECRET_KEY="x",
            )
            django.setup()
            try:
                import django.tasks
            except ImportError:  # before Django 6
                sys.modules["django.tasks"] = __import__("django_tasks")
        """,
        "from django.test import TestCase": """
            from django.db import connection
            connection.close()
        """,
        "from django.core.asgi": """
            import unittest
            result = unittest.TestResult()
            suite = unittest.defaultTestLoader.loadTestsFromTestCase(OrderTest)
            unittest.TestSuite([suite]).run(result)
            assert result.testsRun == 1 and result.wasSuccessful(), result.failures + result.errors
            connection.close()
        """,
    },
}
"""What a page takes for granted: by the beginning of the block before which it is set up."""

SESSION = Path(__file__).parent / "session.py"


def run(blocks: Sequence[tuple[str, int, str]], directory: Path, redis_url: str) -> str:
    """Run blocks in one process, in an empty directory; what they print."""
    swapped = [(file, line, _swapped(code, redis_url)) for file, line, code in blocks]
    for _, _, code in swapped:
        named = re.match(r"# (\w+\.py)\n", code)
        if named is not None:  # others may import it
            (directory / named[1]).write_text(code)
    env = {"PYTHONPATH": f"{directory}:{ROOT}", "PATH": os.defpath, "PYTHONWARNINGS": "error"}
    done = run_python(
        str(SESSION),
        cwd=directory,
        env={**env, "LTQ_BROKER_URL": redis_url},
        text=json.dumps(swapped),
    )
    assert done.returncode == 0, done.stderr
    assert "Warning:" not in done.stderr, done.stderr  # something was left open
    return done.stdout


def check(directory: Path) -> None:
    """Run the tests that a page shows."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=directory,
        env={"PYTHONPATH": f"{directory}:{ROOT}", "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def _swapped(code: str, redis_url: str) -> str:
    return code.replace("redis://localhost:6379", redis_url)


def staged(page: Path, blocks: Sequence[Block]) -> list[tuple[str, int, str]]:
    """The blocks, and before them what they take for granted."""
    stage = dict(STAGE.get(name_of(page), {}))
    found = []
    for block in blocks:
        for beginning in [beginning for beginning in stage if block.text.startswith(beginning)]:
            lines = stage.pop(beginning).strip("\n").splitlines()
            indent = len(lines[0]) - len(lines[0].lstrip())
            found.append(("stage", 1, "\n".join(line[indent:] for line in lines)))
        found.append((name_of(page), block.line, block.text))
    assert not stage, f"no block of {page.name} begins with {', '.join(stage)}"
    return found


TOGETHER = [
    page
    for page in (README, *PAGES)
    if name_of(page) not in ELSEWHERE and not all(block.is_program for block in python_of(page))
]
PROGRAMS = [
    block
    for page in PAGES
    if name_of(page) not in ELSEWHERE
    for block in python_of(page)
    if block.is_program
]


@pytest.mark.parametrize("page", TOGETHER, ids=name_of)
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, redis_url: str) -> None:
    blocks = [block for block in python_of(page) if page == README or not block.is_program]
    run(staged(page, blocks), tmp_path, redis_url)
    if any(tmp_path.glob("test_*.py")):
        check(tmp_path)


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.place)
def test_a_program_runs(block: Block, tmp_path: Path, redis_url: str) -> None:
    run([(block.place, block.line, block.text)], tmp_path, redis_url)


def test_a_block_that_fails_is_told_with_its_line(tmp_path: Path, redis_url: str) -> None:
    block = ("page.md", 7, "import asyncio\nawait asyncio.to_thread(int, 'x')")
    with pytest.raises(AssertionError, match=r'File "page.md", line 8'):
        run([block], tmp_path, redis_url)


def test_the_exceptions_are_pages() -> None:
    assert set(ELSEWHERE) | set(STAGE) <= {name_of(page) for page in (README, *PAGES)}
