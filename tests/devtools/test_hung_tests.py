"""The end of a test that its timeout does not end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
from devtools import hung_tests
from devtools.hung_tests import pytest_configure, pytest_runtest_protocol, pytest_sessionstart

hung_tests.GRACE, hung_tests.LOOK_EVERY = 0.5, 0.1
"""
TESTS = """
import time
import pytest

@pytest.mark.timeout(0.2)
def test_swallows_its_timeout():
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass

def test_of_another_process():
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "tells"), [("0", "swallows_its"), ("2", "1 failed, 1 passed")]
)
def test_its_process_ends_and_it_is_named(tmp_path: Path, processes: str, tells: str) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-n", processes]
    env = os.environ | {"PYTHONPATH": os.getcwd(), "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert ran.returncode != 0
    assert tells in ran.stdout + ran.stderr
    assert "Timeout: test_it.py::test_swallows_its_timeout has not ended after 0.9 s" in ran.stderr
    assert "in test_swallows_its_timeout" in ran.stderr
