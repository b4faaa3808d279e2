"""The decoders only decode, whatever they are given: no import, no file, no error but their own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("LTQ_MODEL_EXAMPLES", "100"))


@pytest.mark.timeout(60 + EXAMPLES)
def test_decoders_do_nothing_but_decode() -> None:
    command = [sys.executable, "-m", "tests.model.fuzz_decoders", str(EXAMPLES)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
