"""What `ltq doctor` judges, each check by itself on data; what it looks at, on real servers."""

import inspect
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

import ltq.brokers.redis
from devtools.servers import RedisServer
from ltq.broker import Finding, Severity
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._doctor import checks
from ltq.brokers.redis._doctor.checks import SERVER_CHECKS
from ltq.brokers.redis._doctor.inventory import KINDS, Inventory, OddKeys, take_inventory
from ltq.brokers.redis._doctor.permissions import Rights, try_out
from ltq.brokers.redis._doctor.survey import Server, survey_server
from ltq.brokers.redis._scripts.calls import SCRIPTS
from ltq.brokers.redis._scripts.texts import source
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.brokers.redis._server.notifications import missing_flags
from ltq.brokers.redis._server.trials import TRIALS
from ltq.message import Finish
from ltq.state import Status
from tests.conformance.factories import QUEUE, publish, publish_many
from tests.eventually import eventually

GOOD: Mapping[str, str] = {
    "redis_version": "7.0.15",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "maxmemory": "1000",
    "maxmemory_policy": "noeviction",
    "used_memory": "500",
    "connected_clients": "3",
    "maxclients": "10000",
    "role": "master",
    "connected_slaves": "0",
    "cluster_enabled": "0",
}
CONFIG = {"appendfsync": "everysec", "notify-keyspace-events": "ghxK"}


def server(
    info: Mapping[str, str] | None = None, config: Mapping[str, str] | None = None, **fields: Any
) -> Server:
    """A good server, but for what is said."""
    good: dict[str, Any] = {"median_ping": 0.001, "worst_ping": 0.002, "notified": True}
    good["rights"] = Rights()
    return Server(
        info={**GOOD, **(info or {})}, config={**CONFIG, **(config or {})}, **{**good, **fields}
    )


ADVISED = "ok, with advice"
UNKNOWN = "ok, as the server does not say"


def judged(check: str, subject: Server) -> str:
    """The severity of a finding; where it is ok, also whether there is more to know."""
    return verdict(getattr(checks, f"check_{check}")(subject))


def verdict(finding: Finding) -> str:
    if finding.severity is not Severity.OK:
        assert finding.advice
        return finding.severity
    if finding.text == "unknown: the server does not say":
        assert not finding.advice
        return UNKNOWN
    return ADVISED if finding.advice else Severity.OK


@pytest.mark.parametrize("check", SERVER_CHECKS)
def test_a_good_server_is_well(check: Any) -> None:
    assert verdict(check(server())) == Severity.OK


@pytest.mark.parametrize("check", SERVER_CHECKS)
def test_a_server_that_tells_nothing_is_not_accused(check: Any) -> None:
    silent = Server(notified=True, rights=Rights(), median_ping=0.001, worst_ping=0.001)
    told_nothing = ("version", "persistence", "eviction", "memory", "connections")
    names = {f"check_{name}" for name in told_nothing}
    assert verdict(check(silent)) == (UNKNOWN if check.__name__ in names else Severity.OK)


@pytest.mark.parametrize(
    ("check", "info", "config", "level"),
    [
        ("version", {"redis_version": "6.0.16"}, {}, Severity.DANGER),
        ("version", {"redis_version": "6.2.0"}, {}, Severity.OK),
        ("version", {"valkey_version": "7.2.5"}, {}, Severity.OK),
        ("persistence", {"aof_enabled": "0"}, {"save": ""}, Severity.DANGER),
        ("persistence", {"aof_enabled": "0"}, {"save": "3600 1"}, Severity.DANGER),
        ("persistence", {"aof_last_write_status": "err"}, {}, Severity.DANGER),
        ("persistence", {"rdb_last_bgsave_status": "err"}, {}, Severity.WARNING),
        ("persistence", {"aof_last_bgrewrite_status": "err"}, {}, Severity.WARNING),
        ("persistence", {}, {"appendfsync": "no"}, Severity.WARNING),
        ("persistence", {}, {"appendfsync": "always"}, Severity.OK),
        ("eviction", {"maxmemory_policy": "allkeys-lru"}, {}, Severity.DANGER),
        ("eviction", {"maxmemory_policy": "volatile-ttl"}, {}, Severity.DANGER),
        ("eviction", {"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, {}, ADVISED),
        ("memory", {"used_memory": "950"}, {}, Severity.WARNING),
        ("memory", {"maxmemory": "0", "total_system_memory": "510"}, {}, Severity.WARNING),
        ("connections", {"connected_clients": "9500"}, {}, Severity.WARNING),
        ("replication", {"role": "slave"}, {}, Severity.DANGER),
        ("replication", {"cluster_enabled": "1"}, {}, Severity.DANGER),
        ("replication", {"redis_mode": "sentinel"}, {}, Severity.DANGER),
        ("replication", {"connected_slaves": "2"}, {}, ADVISED),
        ("replication", {"connected_slaves": "2"}, {"min-replicas-to-write": "1"}, Severity.OK),
    ],
)
def test_what_a_server_tells(
    check: str, info: dict[str, str], config: dict[str, str], level: str
) -> None:
    assert judged(check, server(info, config)) == level


@pytest.mark.parametrize(
    ("check", "fields", "level"),
    [
        ("latency", {"median_ping": 0.004}, Severity.OK),
        ("latency", {"median_ping": 0.01}, ADVISED),
        ("latency", {"median_ping": 0.2}, Severity.WARNING),
        ("clock", {"clock": -3.0}, Severity.WARNING),
        ("rights", {"rights": None}, Severity.DANGER),
        ("rights", {"rights": Rights(no_keys=True)}, Severity.DANGER),
        ("rights", {"rights": Rights(("ZADD",))}, Severity.DANGER),
        ("rights", {"rights": Rights((), ("states",))}, Severity.DANGER),
        ("rights", {"refusal": "OOM command not allowed"}, Severity.OK),
        ("writes", {"refusal": "OOM command not allowed"}, Severity.DANGER),
        ("writes", {"refusal": "something new"}, Severity.DANGER),
        ("writes", {"rights": None}, Severity.OK),
        ("notifications", {"notified": False}, Severity.WARNING),
        ("replication", {"awaited": 1}, Severity.DANGER),
    ],
)
def test_what_was_tried(check: str, fields: dict[str, Any], level: str) -> None:
    assert judged(check, server(**fields)) == level


def test_notifications_that_are_off_may_be_switched_on() -> None:
    off = server(config={"notify-keyspace-events": "K"}, notified=False)
    finding = checks.check_notifications(off)
    assert verdict(finding) == ADVISED
    assert finding.text.endswith("lacks ghx")


def test_notifications_that_could_not_be_tried_are_not_said_to_arrive() -> None:
    finding = checks.check_notifications(server(notified=None))
    assert finding.severity is Severity.OK
    assert finding.text.endswith("this could not be tried")


@pytest.mark.parametrize(("clock", "told"), [(3.0, "3.000 s ahead of"), (-3.0, "3.000 s behind")])
def test_a_wrong_clock_is_told_with_its_side(clock: float, told: str) -> None:
    assert told in checks.check_clock(server(clock=clock)).text


def test_keys() -> None:
    (fine,) = checks.check_inventory(Inventory(seen=3))
    assert fine.severity is Severity.OK
    found = Inventory(
        strays=OddKeys(7, ["ltq:x"]), endless=OddKeys(1, ["ltq:y"]), displaced={"mail": 2}
    )
    texts = [finding.text for finding in checks.check_inventory(found)]
    assert texts == [
        "keys not LTQ's: 7, ltq:x, ...",
        "keys without the TTL they should have: 1, ltq:y",
        "tasks of mail that are in no list: 2; nothing will run them",
    ]


class TestTables:
    """What is tried and expected is what LTQ uses."""

    def test_every_kind_of_key_is_known(self) -> None:
        types = {}
        for name, function in vars(type(keys)).items():
            parameters = inspect.signature(function).parameters if callable(function) else {}
            if "namespace" in parameters:
                types[name] = (function.__doc__ or "").replace(":", " ").split()[0].lower()
        for other in ("prefix", "revoked"):
            del types[other]
        assert {name: kind.type for name, kind in KINDS.items()} == types

    def test_every_command_of_a_script_is_tried(self) -> None:
        called = r"(?:redis\.p?call|call_or_reset)\('([A-Z]+)'"
        used = {name for script in SCRIPTS for name in re.findall(called, source(script))}
        assert used - {"SET"} <= TRIALS.keys()

    def test_every_other_command_is_tried(self) -> None:
        files = Path(ltq.brokers.redis.__file__).parent.rglob("*.py")
        called = r'\b(?:call|block)\(\s*"([A-Z]+)"'
        used = {name for file in files for name in re.findall(called, file.read_text())}
        assert used - {"SET", "INFO", "CONFIG", "CLUSTER"} <= TRIALS.keys()


@pytest.fixture
def raw(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


class TestLooking:
    @pytest.mark.parametrize("sent", ["", "Kghx"], ids=["silent", "notifying"])
    async def test_it_changes_nothing(self, redis_url: str, raw: "redis.Redis", sent: str) -> None:
        raw.config_set("notify-keyspace-events", sent)
        async with RedisBroker(redis_url) as broker:
            ids = await publish_many(broker, 3)
            flags = raw.config_get("notify-keyspace-events")
            before = {key: raw.dump(key) for key in raw.scan_iter()}
            link = broker._opening.new_link()
            found = await survey_server(link)
            await take_inventory([link], 10_000)
            await broker.examine(scan=10_000)
            await broker.workers()
            await link.aclose()
            assert found.rights == Rights()
            assert raw.config_get("notify-keyspace-events") == flags
            await eventually(lambda: not raw.keys("ltq:*probe:*"))  # a second later
            after = {key: raw.dump(key) for key in raw.keys("ltq:{mail}*")}
            assert {key: dump for key, dump in before.items() if key in after} == after
            assert len(ids) == 3

    async def test_it_hears_a_notification(self, redis_executable: str) -> None:
        for flags, heard in (("Kghx", True), ("", False)):
            with RedisServer(redis_executable, "--notify-keyspace-events", flags) as bad:
                async with RedisBroker(bad.url) as broker:
                    link = broker._opening.new_link()
                    assert (await survey_server(link)).notified is heard
                    await link.aclose()

    async def test_keys_that_are_odd(self, redis_url: str, raw: "redis.Redis") -> None:
        async with RedisBroker(redis_url) as broker:
            await publish(broker)
            raw.set("ltq:mine", "1")
            raw.set("ltq:{mail}:what", "1")
            raw.hset(keys.ready("mail", "mail:none", 1), "a", "b")
            raw.set(keys.schedule_marks, "1")
            raw.set(keys.unique("mail", "x"), "1")
            link = broker._opening.new_link()
            found = await take_inventory([link], 10_000)
            await link.aclose()
        assert sorted(found.strays.examples) == ["ltq:mine", "ltq:{mail}:what"]
        assert sorted(found.mistyped.examples) == ["ltq:schedules", "ltq:{mail}:ready:1:mail:none"]
        assert found.endless.examples == ["ltq:{mail}:unique:x"]
        assert found.displaced == {}

    async def test_what_a_spoilt_key_says_of_a_list_is_not_believed(
        self, redis_url: str, raw: "redis.Redis"
    ) -> None:
        async with RedisBroker(redis_url) as broker:
            await publish_many(broker, 3)
            raw.set(keys.skipped("mail", QUEUE, 1), "1")
            link = broker._opening.new_link()
            found = await take_inventory([link], 10_000)
            await link.aclose()
        assert found.mistyped.examples == [keys.skipped("mail", QUEUE, 1)]
        assert found.displaced == {}

    async def test_dead_letters_are_not_odd(self, redis_url: str, raw: "redis.Redis") -> None:
        async with RedisBroker(redis_url) as broker:
            await publish(broker)
            async with broker.consumer([QUEUE]) as consumer:
                (delivery,) = await broker.claim(consumer, 1)
            await broker.finish([Finish(delivery.lease, Status.FAILED, dead=True)])
            link = broker._opening.new_link()
            found = await take_inventory([link], 10_000)
            await link.aclose()
        for odd in (found.strays, found.mistyped, found.endless):
            assert odd.examples == []

    async def test_tasks_without_a_place(self, redis_url: str, raw: "redis.Redis") -> None:
        async with RedisBroker(redis_url) as broker:
            first = await publish(broker)
            await publish_many(broker, 2, delay=60)
            await publish_many(broker, 3)
            async with broker.consumer([QUEUE]) as consumer:
                claimed = await broker.claim(consumer, 1)
            assert claimed[0].lease.id == first.id
            raw.delete(keys.delayed("mail", QUEUE), keys.leases("mail", QUEUE))
            raw.lpop(keys.ready("mail", QUEUE, 1))
            link = broker._opening.new_link()
            assert (await take_inventory([link], 10_000)).displaced == {"mail": 4}
            assert await broker.repair(["mail"]) == 4
            assert (await take_inventory([link], 10_000)).displaced == {}
            await link.aclose()

    async def test_a_scan_is_bounded(self, redis_url: str, raw: "redis.Redis") -> None:
        raw.mset({f"other:{number}": "1" for number in range(2000)})
        async with RedisBroker(redis_url) as broker:
            link = broker._opening.new_link()
            passed: list[int] = []
            assert not (await take_inventory([link], 500, passed.append)).is_complete
            assert passed == [500]
            assert (await take_inventory([link], 100_000)).is_complete
            await link.aclose()

    async def test_a_lease_that_ended_long_ago_is_overdue(
        self, redis_url: str, raw: "redis.Redis"
    ) -> None:
        async with RedisBroker(redis_url) as broker:
            ids = await publish_many(broker, 3)
            async with broker.consumer([QUEUE], name="me") as consumer:
                await broker.claim(consumer, 2)
            leases = keys.leases("mail", QUEUE)
            raw.zadd(
                leases, {ids[0]: 1000.0 * (raw.time()[0] - 100), ids[1]: 1000.0 * raw.time()[0]}
            )
            (found,) = await broker.stats([QUEUE])
            assert (found.pending, found.working, found.overdue) == (1, 2, 1)
            (told,) = [one for one in await broker.examine(scan=0) if one.name == "leases"]
            assert told.severity is Severity.WARNING


class TestRights:
    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("~ltq:* &* +@all -hset", Rights(("HSET",))),
            ("~other:* &* +@all", Rights(no_keys=True)),
            ("~ltq:* &* +@all -set", Rights(("SET",))),
            ("~ltq:* &* +@all -@admin -@dangerous", Rights()),
        ],
    )
    async def test_what_a_user_may_not_do_is_found(
        self, redis_executable: str, rule: str, expected: Rights
    ) -> None:
        with RedisServer(redis_executable) as server, redis.Redis.from_url(server.url) as raw:
            raw.execute_command("ACL", "SETUSER", "bob", "on", ">pw", *rule.split())
            async with RedisBroker(server.url.replace("//", "//bob:pw@")) as broker:
                link = broker._opening.new_link()
                found = await try_out(link)
                await link.aclose()
            assert {*found.denied} == {*expected.denied}
            assert (found.scripts, found.no_keys) == (expected.scripts, expected.no_keys)
            assert all(raw.pttl(key) > 0 for key in raw.scan_iter())


@pytest.mark.slow
class TestServerThatTakesNoWrites:
    @pytest.mark.parametrize(
        ("settings", "says", "todo"),
        [
            ({"maxmemory": "1"}, "maxmemory", "raise `maxmemory`"),
            ({"min-replicas-to-write": "1"}, "replicas|NOREPLICAS", "let its replicas run"),
            ({"replicaof": "127.0.0.1 1"}, "read.?only replica", "connect to the primary"),
            ({"failing bgsave": ""}, "MISCONF|disk", "cannot write to its disk"),
        ],
    )
    async def test_it_is_told_as_what_it_is(
        self, redis_executable: str, settings: dict[str, str], says: str, todo: str
    ) -> None:
        with RedisServer(redis_executable) as server, redis.Redis.from_url(server.url) as raw:
            for name, value in settings.items():
                await refuse_writes(raw, name, value)
            async with RedisBroker(server.url) as broker:
                found = {one.name: one for one in await broker.examine(scan=0)}
            raw.config_set("save", "")  # or it would refuse to end without a snapshot
            writes, rights = found["writes"], found["rights"]
            assert writes.severity is Severity.DANGER
            assert re.search(says, writes.text, re.IGNORECASE), writes.text
            assert todo in writes.advice
            assert "may not use" not in rights.text
            if "maxmemory" in settings:
                assert rights.severity is Severity.OK

    async def test_missing_rights_are_found_on_a_full_one(self, redis_executable: str) -> None:
        with RedisServer(redis_executable) as server, redis.Redis.from_url(server.url) as raw:
            raw.execute_command(
                "ACL", "SETUSER", "bob", *["on", ">pw", "~ltq:*", "&*", "+@all", "-hset"]
            )
            raw.config_set("maxmemory", "1")
            async with RedisBroker(server.url.replace("//", "//bob:pw@")) as broker:
                link = broker._opening.new_link()
                found = await try_out(link)
                await link.aclose()
            assert found.denied == ("HSET",)
            assert "OOM" in found.refusal or "maxmemory" in found.refusal


async def refuse_writes(raw: redis.Redis, name: str, value: str) -> None:
    """Let a server refuse writes: by a setting, as a replica, or after a failed snapshot."""
    if name == "replicaof":
        raw.execute_command("REPLICAOF", *value.split())
    elif name == "failing bgsave":
        raw.config_set("save", "3600 1")
        shutil.rmtree(str(raw.config_get("dir")["dir"]))
        raw.bgsave()
        await eventually(lambda: raw.info("persistence")["rdb_last_bgsave_status"] == "err")
    else:
        raw.config_set(name, value)


def test_many_odd_keys_are_counted_and_a_few_are_named() -> None:
    odd = OddKeys()
    for number in range(12):
        odd.add(b"ltq:odd%d" % number)
    assert odd.count == 12
    assert odd.examples == [f"ltq:odd{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("flags", "missing"),
    [("", "Kghx"), ("KEA", ""), ("A", "K"), ("Kgx", "h"), ("Elmh", "Kgx")],
)
def test_what_a_servers_setting_lacks(flags: str, missing: str) -> None:
    assert missing_flags(flags) == missing
