"""Fixtures of the tests with signals."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.signals.programs import Start, starting


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts Python programs."""
    async with starting(tmp_path) as start:
        yield start
