"""A server whose messages are not English: what it says of a login is understood all the same."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.postgres import PostgresServer
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError

pytestmark = pytest.mark.slow

SOON = 3.0
"""Seconds: a login that may succeed later is tried for longer."""

_HBA = """
COPY (VALUES ('host all guarded 127.0.0.1/32 scram-sha-256'),
('host all closed 127.0.0.1/32 reject'), ('host all all 127.0.0.1/32 trust')) TO '{}/pg_hba.conf'"""

_ROLES = """
CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE ROLE closed LOGIN; CREATE ROLE nobody LOGIN;
CREATE ROLE many LOGIN CONNECTION LIMIT 0; REVOKE CONNECT ON DATABASE shut FROM public"""

CASES = {
    "wrong password": "guarded:secret@127.0.0.1:{port}/postgres",
    "not allowed": "closed:secret@127.0.0.1:{port}/postgres",
    "unknown user": "who:secret@127.0.0.1:{port}/postgres",
    "wrong database": "ltq:secret@127.0.0.1:{port}/nowhere",
    "no rights": "nobody:secret@127.0.0.1:{port}/shut",
}


@pytest.fixture(scope="module", params=["de_DE.UTF-8", "zh_CN.UTF-8"])
def server(request: pytest.FixtureRequest, postgres_folder: Path) -> Iterator[PostgresServer]:
    language: str = request.param
    with tempfile.TemporaryDirectory() as locales, pytest.MonkeyPatch.context() as patch:
        _make_locale(language, Path(locales))
        patch.setenv("LOCPATH", locales)
        with PostgresServer(postgres_folder) as server:
            ((folder,),) = server.execute("SHOW data_directory")
            server.execute(f"ALTER SYSTEM SET lc_messages = '{language}'")
            server.execute("CREATE DATABASE shut")
            server.execute(_ROLES)
            server.execute(_HBA.format(folder))
            server.execute("SELECT pg_reload_conf()")
            yield server


def _make_locale(language: str, folder: Path) -> None:
    folder.chmod(0o755)  # the server may run as another user
    command = ["localedef", "-i", language.partition(".")[0], "-f", "UTF-8", str(folder / language)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no localedef here that knows other languages")


@pytest.mark.parametrize("case", CASES)
async def test_a_login_that_would_fail_again_is_told_at_once(
    case: str, server: PostgresServer
) -> None:
    async with PostgresBroker("postgresql://" + CASES[case].format(port=server.port)) as broker:
        began = time.monotonic()
        with pytest.raises(BrokerError) as raised:
            await broker.ping()
    assert time.monotonic() - began < SOON
    assert not raised.value.is_away
    said = str(raised.value)
    assert "secret" not in said
    assert not any(word in said for word in ("failed for user", "does not exist", "denied for"))


async def test_a_login_that_may_succeed_later_is_tried_again(server: PostgresServer) -> None:
    async with PostgresBroker(f"postgresql://many@127.0.0.1:{server.port}/postgres") as broker:
        with pytest.raises(BrokerError) as raised:
            await broker.ping()
    assert raised.value.is_away
