"""Which redis-server the tests take."""

import sys
from pathlib import Path

import pytest

from devtools.servers import find_redis_server, installed_redis_server


def executable(folder: Path) -> str:
    folder.mkdir(parents=True)
    path = folder / "redis-server"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_machines_own_server_goes_before_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "venv" / "bin")
    own = executable(tmp_path / "usr")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'venv' / 'bin'}:{tmp_path / 'usr'}")
    assert installed_redis_server() == find_redis_server() == own


def test_the_wheels_server_is_none_of_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "venv" / "bin")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("PATH", str(tmp_path / "venv" / "bin"))
    assert installed_redis_server() is None
