"""What a broker URL gets that cannot be used: soon a line that says why, without the password."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import ltq
from devtools.postgres import PostgresServer
from devtools.servers import free_port
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._schema import migrate
from ltq.brokers.postgres._server.connections import CALL_PATIENCE
from ltq.cli._root import main
from ltq.errors import BrokerError

pytestmark = pytest.mark.slow

SOON = CALL_PATIENCE + 2.5
"""Seconds until a call fails: its patience, and what a busy machine takes beside it."""

_HBA = """
COPY (VALUES ('host all guarded 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust'))
TO '{}/pg_hba.conf'"""

CASES = {
    "no server": ("ltq:secret@127.0.0.1:{closed}/postgres", "Connection refused"),
    "no such host": ("ltq:secret@nowhere.invalid/postgres", "resolve host 'nowhere.invalid'"),
    "wrong password": (
        "guarded:secret@127.0.0.1:{port}/postgres",
        "password authentication failed",
    ),
    "no password": ("guarded@127.0.0.1:{port}/postgres", "no password supplied"),
    "unknown user": ("who:secret@127.0.0.1:{port}/postgres", 'role "who" does not exist'),
    "wrong database": ("ltq:secret@127.0.0.1:{port}/nowhere", '"nowhere" does not exist'),
    "no tls": ("ltq:secret@127.0.0.1:{port}/postgres?sslmode=require", "does not support SSL"),
    "no schema": ("ltq:secret@127.0.0.1:{port}/postgres?schema=none", "run `ltq migrate`"),
    "newer schema": ("ltq:secret@127.0.0.1:{port}/postgres?schema=newer", "upgrade LTQ"),
    "no rights": ("nobody:secret@127.0.0.1:{port}/postgres", "permission denied"),
}
"""By name: a URL, and what is said of it."""

WAITED_FOR = {"no server", "no such host"}
"""Those that may pass: workers wait."""


@pytest.fixture(scope="module")
def server(postgres_folder: Path) -> Iterator[PostgresServer]:
    with PostgresServer(postgres_folder) as server:
        server.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE ROLE nobody LOGIN")
        ((folder,),) = server.execute("SHOW data_directory")
        server.execute(_HBA.format(folder))
        server.execute("SELECT pg_reload_conf()")
        for url in (server.url, f"{server.url}?schema=newer"):
            assert CliRunner().invoke(main, ["migrate", "--broker-url", url]).exit_code == 0
        server.execute(f"UPDATE newer.version SET number = {migrate.VERSION + 1}")
        yield server


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(case: str, server: PostgresServer) -> str:
    return "postgresql://" + CASES[case][0].format(port=server.port, closed=free_port())


def check(case: str, said: str) -> None:
    """One line, with the reason and without the password."""
    assert CASES[case][1] in said
    assert "secret" not in said
    assert said.strip().count("\n") == 0


@pytest.mark.parametrize(
    "command", ["stats", "doctor", "top", "workers", "size mail", "tasks mail", "migrate"]
)
def test_commands_say_why(case: str, url: str, command: str) -> None:
    if (case, command) == ("no schema", "migrate"):
        return  # it makes one
    began = time.monotonic()
    given = CliRunner().invoke(main, [*command.split(), "--broker-url", url])
    assert time.monotonic() - began < SOON
    assert given.exit_code == 1
    check(case, given.output)


async def test_the_library_raises_it(case: str, url: str) -> None:
    broker = PostgresBroker(url)
    worker = ltq.Worker("mail", broker=broker)

    @worker.task
    async def post(number: int) -> int:
        return number

    async with broker:
        for call in (post.send(1), post.send_many([post.message(1)]), broker.stats(["mail"])):
            began = time.monotonic()
            with pytest.raises(BrokerError) as raised:
                await call
            assert time.monotonic() - began < SOON
            check(case, str(raised.value))
            assert raised.value.is_away == (case in WAITED_FOR)
    with pytest.raises(BrokerError) as raised:
        await asyncio.to_thread(post.send_sync, 1)
    check(case, str(raised.value))


def test_a_worker_ends_with_it(case: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "mailing.py").write_text(
        "import ltq\nworker = ltq.Worker('mail')\n@worker.task\nasync def post() -> None: pass\n"
    )
    command = [sys.executable, "-m", "ltq", "run", "mailing:worker", "--wait-for-broker", "0"]
    environment = {**os.environ, "LTQ_BROKER_URL": url, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 1
    *logged, last = ran.stderr.strip().splitlines()
    check(case, last)
    assert len(logged) <= 2
    assert "secret" not in ran.stderr
