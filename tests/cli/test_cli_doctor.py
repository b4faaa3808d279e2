"""`ltq doctor`, on servers with good and bad settings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from devtools.servers import RedisServer
from ltq.brokers.redis import RedisBroker
from ltq.cli.doctor.command import _progress
from ltq.message import Finish
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import ROOT, ltq_on_terminal
from tests.conformance.factories import QUEUE, claim_one, publish

pytestmark = pytest.mark.slow

GOOD = ("--appendonly", "yes", "--notify-keyspace-events", "Kghx")

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SAFE, SMALLEST = re.findall(r"ACL SETUSER ltq on >password (.*)", OPERATIONS)
"""The users that the documentation recommends."""


@pytest.fixture(scope="module")
def good(redis_executable: str) -> Iterator[str]:
    """The URL of a server as the check-list wants it."""
    with RedisServer(redis_executable, *GOOD) as server:
        yield server.url


async def test_a_good_server_is_well(good: str) -> None:
    done = await call_ltq("doctor", "--broker-url", good)
    assert (done.code, done.err) == (0, "")
    *lines, last = done.out.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert last == f"{len(lines)} ok"


async def test_advice_is_shown_even_if_all_is_ok(good: str) -> None:
    async with RedisBroker(good) as broker:
        await publish(broker)
        async with broker.consumer([QUEUE]) as consumer:
            lease = (await claim_one(broker, consumer)).lease
        await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        done = await call_ltq("doctor", "--broker-url", good)
        await broker.purge(QUEUE)
    assert (done.code, done.err) == (0, "")
    *lines, last = done.out.splitlines()
    advised = [line for line in lines if " -> " in line]
    assert advised == [
        f"ok       dead letters: {QUEUE}: 1 -> look at them with `ltq dead list {QUEUE}`"
    ]
    assert last == f"{len(lines)} ok (1 with advice)"


async def test_json_for_programs(good: str) -> None:
    done = await call_ltq("doctor", "--json", "--broker-url", good)
    found = json.loads(done.out)
    assert (found["ok"], found["url"]) == (True, good)
    assert {"name", "severity", "text", "advice"} == set(found["findings"][0])
    checks = {finding["name"] for finding in found["findings"]}
    assert checks >= {"version", "persistence", "eviction", "rights", "clock", "keys", "queues"}


async def test_a_table_on_a_terminal(good: str) -> None:
    async with ltq_on_terminal("doctor", "--broker-url", good) as terminal:
        assert await terminal.end() == 0
    assert "finding" in terminal.text
    assert "\x1b[32mok" in terminal.raw


@pytest.mark.parametrize(
    ("arguments", "check"),
    [
        (("--appendonly", "no"), "persistence"),
        ((*GOOD, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), "eviction"),
        ((*GOOD, "--replicaof", "127.0.0.1", "1"), "replication"),
        ((*GOOD, "--rename-command", "BZPOPMIN", ""), "rights"),
    ],
)
async def test_what_would_lose_tasks_is_exit_code_1(
    redis_executable: str, arguments: tuple[str, ...], check: str
) -> None:
    with RedisServer(redis_executable, *arguments) as server:
        done = await call_ltq("doctor", "--json", "--broker-url", server.url)
    assert done.code == 1
    levels = {one["name"]: one["severity"] for one in json.loads(done.out)["findings"]}
    assert levels[check] == "danger"


async def test_a_server_that_refuses_config_and_info(redis_executable: str) -> None:
    refused = ("--rename-command", "CONFIG", "", "--rename-command", "INFO", "")
    with RedisServer(redis_executable, *GOOD, *refused) as server:
        done = await call_ltq("doctor", "--json", "--broker-url", server.url)
    assert done.code == 0
    levels = {one["name"]: one["severity"] for one in json.loads(done.out)["findings"]}
    assert (levels["version"], levels["notifications"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("rule", "code"),
    [("~other:* &* +@all", 1), ("~ltq:* &* +@all -time -smembers", 1), (SAFE, 0), (SMALLEST, 0)],
)
async def test_a_user_with_few_rights(redis_executable: str, rule: str, code: int) -> None:
    with RedisServer(redis_executable, *GOOD) as server:
        with redis.Redis.from_url(server.url) as raw:
            raw.execute_command("ACL", "SETUSER", "bob", "on", ">pw", *rule.split())
        url = server.url.replace("//", "//bob:pw@")
        done = await call_ltq("doctor", "--json", "--broker-url", url)
    assert (done.code, done.err) == (code, "")
    levels = {one["name"]: one["severity"] for one in json.loads(done.out)["findings"]}
    assert levels["rights"] == ("danger" if code else "ok")


async def test_memory_is_no_place_for_production() -> None:
    done = await call_ltq("doctor", "--broker-url", "memory://mine")
    assert done.code == 1
    assert "its tasks end with it" in done.out


async def test_on_a_terminal_each_advice_is_below_its_finding(redis_url: str) -> None:
    async with ltq_on_terminal("doctor", "--broker-url", redis_url) as terminal:
        await terminal.end()
    assert "-> " in terminal.text, "a server of the tests keeps nothing on disk"


def test_how_many_keys_were_read_is_shown_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda is_terminal=is_terminal: is_terminal)
        show, erase = _progress(30_000)
        for passed in (1, 10_000, 10_001, 20_000):
            show(passed)
        erase()
    shown = "keys: 10000 of at most 30000\rkeys: 20000 of at most 30000"
    assert capsys.readouterr().err == f"\r{shown}\r\x1b[K"


class TestNamedBrokers:
    @pytest.fixture
    def named(self, good: str, tmp_path: Path) -> Path:
        """A folder with a broker that is well, and three that cannot be reached."""
        (tmp_path / "ltq.toml").write_text(
            f"[brokers]\norders.url = '{good}'\n"
            "away.url = 'redis://:secret@127.0.0.1:1'\n"
            "unset.url = '${DOCTOR_URL}'\nwrong.url = 'ftp://:secret@there'\n"
        )
        return tmp_path

    async def test_all_are_examined_each_under_its_name(self, named: Path, good: str) -> None:
        done = await call_ltq("doctor", cwd=named)
        assert (done.code, done.err) == (1, "")
        assert "secret" not in done.out
        blocks = [block.splitlines() for block in done.out.split("\n\n")]
        (orders, away, unset, wrong, (summary,)) = blocks
        assert orders[0] == f"@orders  {good}"
        assert re.fullmatch(r"ok       connection: answers in \d+\.\d ms", orders[1])
        assert {line.split()[0] for line in orders[1:]} == {"ok"}
        assert away[0] == "@away  redis://127.0.0.1:1"
        assert away[1].startswith("danger   connection: ")
        assert "127.0.0.1:1" in away[1]
        key = f"brokers.unset.url of {named}/ltq.toml"
        told = f"danger   connection: {key}: ${{DOCTOR_URL}} is not set, or empty."
        assert unset == ["@unset", told]
        assert wrong[0] == "@wrong"
        assert "'ftp://there' has no known scheme" in wrong[1]
        assert summary.startswith(f"3 danger, {len(orders) - 1} ok")

    async def test_json_has_each_with_its_name(self, named: Path, good: str) -> None:
        done = await call_ltq("doctor", "--json", cwd=named)
        found = json.loads(done.out)
        assert (done.code, found["ok"]) == (1, False)
        assert [(one["name"], one["ok"]) for one in found["brokers"]] == [
            *(("@orders", True), ("@away", False), ("@unset", False), ("@wrong", False))
        ]
        urls = [one["url"] for one in found["brokers"]]
        assert urls == [good, "redis://127.0.0.1:1", None, None]
        times = [one["round_trip"] for one in found["brokers"]]
        assert 0 < times[0] < 3
        assert times[1:] == [None] * 3

    async def test_only_the_one_that_is_named(self, named: Path, good: str) -> None:
        done = await call_ltq("doctor", "--json", "--broker-url", "@orders", cwd=named)
        found = json.loads(done.out)
        assert (done.code, found["url"], found["ok"]) == (0, good, True)
        done = await call_ltq("doctor", "--broker-url", "@away", cwd=named)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        done = await call_ltq("doctor", "--broker-url", "@order", cwd=named)
        assert (done.code, done.out) == (2, "")
        assert "there is no broker @order: did you mean @orders?" in done.err

    async def test_the_one_of_the_environment_is_examined_as_well(
        self, tmp_path: Path, good: str
    ) -> None:
        (tmp_path / "ltq.toml").write_text(f"brokers.orders.url = '{good}'")

        async def names(url: str) -> list[str]:
            done = await call_ltq("doctor", "--json", cwd=tmp_path, env={"LTQ_BROKER_URL": url})
            return [one["name"] for one in json.loads(done.out)["brokers"]]

        assert await names("memory://doctor") == ["LTQ_BROKER_URL", "@orders"]
        assert await names("@orders") == await names(good) == ["@orders"]

    async def test_a_file_with_a_mistake_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "ltq.toml").write_text("[broker.orders]")
        done = await call_ltq("doctor", cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"ltq: {tmp_path}/ltq.toml: unknown key broker: did you mean brokers? "
            "allowed are brokers\n"
        )

    async def test_on_a_terminal_each_has_a_table(self, good: str) -> None:
        env = {"LTQ_BROKER_URL_ONE": good, "LTQ_BROKER_URL_TWO": good}
        async with ltq_on_terminal("doctor", env=env) as terminal:
            assert await terminal.end() == 0
        assert terminal.text.count("finding") == 2
        assert f"@one  {good}" in terminal.text
        assert f"@two  {good}" in terminal.text
