"""`ltq doctor`, `ltq repair`: on servers with good and bad settings."""

import json
import re
from collections.abc import Iterator

import pytest
import redis

from devtools.servers import RedisServer, free_port
from ltq.broker import Broker
from ltq.brokers.redis import _keys
from tests.cli.processes import ROOT, Done, ltq_on_terminal, run_ltq
from tests.conformance.factories import QUEUE, publish_many

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
    done = await run_ltq("doctor", "--broker-url", good)
    assert (done.code, done.err) == (0, "")
    *lines, last = done.out.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert last == f"{len(lines)} ok"


async def test_json_for_programs(good: str) -> None:
    done = await run_ltq("doctor", "--json", "--broker-url", good)
    found = json.loads(done.out)
    assert (found["ok"], found["url"]) == (True, good)
    assert {"name", "severity", "text", "advice"} == set(found["findings"][0])
    checks = {finding["name"] for finding in found["findings"]}
    assert checks >= {"version", "persistence", "eviction", "rights", "clock", "keys", "queues"}


async def test_a_table_on_a_terminal(good: str) -> None:
    async with ltq_on_terminal("doctor", "--broker-url", good) as terminal:
        assert await terminal.end() == 0
    assert "what to do" in terminal.text
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
        done = await run_ltq("doctor", "--json", "--broker-url", server.url)
    assert done.code == 1
    levels = {one["name"]: one["severity"] for one in json.loads(done.out)["findings"]}
    assert levels[check] == "danger"


async def test_a_server_that_refuses_config_and_info(redis_executable: str) -> None:
    refused = ("--rename-command", "CONFIG", "", "--rename-command", "INFO", "")
    with RedisServer(redis_executable, *GOOD, *refused) as server:
        done = await run_ltq("doctor", "--json", "--broker-url", server.url)
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
        done = await run_ltq("doctor", "--json", "--broker-url", url)
    assert (done.code, done.err) == (code, "")
    levels = {one["name"]: one["severity"] for one in json.loads(done.out)["findings"]}
    assert levels["rights"] == ("danger" if code else "ok")


async def test_memory_is_no_place_for_production() -> None:
    done = await run_ltq("doctor", "--broker-url", "memory://mine")
    assert done.code == 1
    assert "its tasks end with it" in done.out


async def test_a_server_that_is_away_is_one_line() -> None:
    done = await run_ltq("doctor", "--broker-url", f"redis://127.0.0.1:{free_port()}/0")
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1


class TestRepair:
    async def test_it_says_what_it_did(self, broker: Broker, redis_url: str) -> None:
        await publish_many(broker, 2, delay=60)
        with redis.Redis.from_url(redis_url) as raw:
            raw.delete(_keys.delayed("mail", QUEUE))
        command = ("repair", "--broker-url", redis_url)
        assert await run_ltq(*command) == Done(0, "mail: 2 tasks put back\n", "")
        assert await run_ltq(*command, "mail") == Done(0, "mail: every task is in its place\n", "")
        assert [stats.pending for stats in await broker.stats([QUEUE])] == [2]

    async def test_there_may_be_none(self, redis_url: str) -> None:
        done = await run_ltq("repair", "--broker-url", redis_url)
        assert done == Done(0, "no workers are known here\n", "")

    async def test_json_for_programs(self, broker: Broker, redis_url: str) -> None:
        await publish_many(broker, 1)
        done = await run_ltq("repair", "mail", "other", "--json", "--broker-url", redis_url)
        assert done == Done(0, '{"mail": 0, "other": 0}\n', "")

    async def test_a_wrong_name_is_told(self) -> None:
        done = await run_ltq("repair", "a b")
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
