"""The Lua scripts as texts, what they are told to do, and what they leave behind on a real server.

`lua/README.md` is held to the scripts and to `_keys.py`.
"""

import inspect
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

import ltq.brokers.redis
from ltq._names import new_id
from ltq.broker.schedule_slots import ScheduleSlot
from ltq.brokers.redis import RedisBroker, _keys
from ltq.brokers.redis._lua import sha, source
from ltq.brokers.redis._scripts import SCRIPTS
from ltq.errors import LtqError, TaskNotFoundError
from ltq.message import Delivery, Failure, Finish, Outcome, Receipt, Requeue
from ltq.options import Limit, Priority, Rate
from ltq.state import Progress, Status
from tests.conformance.factories import claim_one, lose, publish, publish_many
from tests.eventually import eventually

LUA = Path(ltq.brokers.redis.__file__).parent / "lua"
LONGEST = 80
HEADER = re.compile(r"--\[\[\n(.*?)\n\]\]\n(.*)", re.DOTALL)
INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)
NEVER_THERE = {"none"}
"""What is deleted for the deleting's sake, and written by nobody."""

NOT_IN_LUA = {"repaired"}
"""What the broker uses without a script."""

PASSING = {"copied"}
"""What is there during a call only."""

scripts = pytest.mark.parametrize("name", SCRIPTS)


def text_of(name: str) -> str:
    return (LUA / f"{name}.lua").read_text("utf-8")


def split(name: str) -> tuple[str, str]:
    """A script's header and its body."""
    match = HEADER.fullmatch(text_of(name))
    assert match is not None, f"{name}.lua does not begin with a header"
    return match[1], match[2]


def without_comments(lua: str) -> str:
    return re.sub(r"--.*", "", lua)


def documented(header: str) -> dict[str, str]:
    """`{"KEYS[1]": "prefix", ...}` as the header says."""
    return dict(re.findall(r"^((?:KEYS|ARGV)\[\d+\]) +(\w+) ", header, re.MULTILINE))


class TestFiles:
    def test_every_script_is_listed_in_order(self) -> None:
        files = [path.stem for path in LUA.glob("*.lua") if not path.stem.startswith("_")]
        assert list(SCRIPTS) == sorted(files)

    @pytest.mark.parametrize("path", sorted(LUA.glob("*.lua")), ids=lambda path: path.name)
    def test_none_is_long(self, path: Path) -> None:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= LONGEST
        assert [line for line in lines if len(line) > 110 or line != line.rstrip()] == []

    def test_every_include_is_there_and_is_used(self) -> None:
        used = {f"_{name}" for script in SCRIPTS for name in INCLUDE.findall(text_of(script))}
        assert used == {path.stem for path in LUA.glob("_*.lua")}

    @scripts
    def test_it_includes_each_once_and_in_full(self, name: str) -> None:
        included = INCLUDE.findall(text_of(name))
        assert len(included) == len(set(included))
        assert "@include" not in source(name), "an include includes another: that is not done"
        for part in included:
            assert text_of(f"_{part}") in source(name)

    @scripts
    def test_it_may_be_loaded_by_any_server(self, name: str) -> None:
        assert not source(name).startswith("#!"), "see `_scripts.py`"


class TestHeaders:
    @scripts
    def test_it_says_what_the_script_does_takes_and_returns(self, name: str) -> None:
        header, _ = split(name)
        assert header.startswith(f"{name}: ")
        assert re.search(r"^KEYS\[1\] prefix ", header, re.MULTILINE)
        assert re.search(r"^ARGV", header, re.MULTILINE)
        assert re.search(r"^RETURNS \S", header, re.MULTILINE)

    @scripts
    def test_it_numbers_what_the_body_takes(self, name: str) -> None:
        header, body = split(name)
        used = set(re.findall(r"(?:KEYS|ARGV)\[\d+\]", without_comments(body)))
        assert used == set(documented(header))

    @scripts
    def test_it_tells_of_arguments_without_a_number_where_there_are_some(self, name: str) -> None:
        header, body = split(name)
        taken = re.search(r"#ARGV|ARGV\[[^\d\]]|(unpack|pairs)\(ARGV", without_comments(body))
        assert bool(re.search(r"^ARGV +[a-z]", header, re.MULTILINE)) == bool(taken)

    @scripts
    def test_the_body_calls_them_what_the_header_does(self, name: str) -> None:
        header, body = split(name)
        names = documented(header)
        for variables, values in re.findall(r"^local ([\w, ]+) = (.*)$", body, re.MULTILINE):
            bound = [re.sub(r"^tonumber\((.*)\)$", r"\1", value) for value in values.split(", ")]
            if all(value in names for value in bound):
                assert [names[value] for value in bound] == variables.split(", ")


class TestServer:
    @scripts
    def test_it_loads_under_the_hash_it_is_called_by(self, name: str, redis_url: str) -> None:
        with redis.Redis.from_url(redis_url) as client:
            assert client.script_load(source(name)) == sha(name)

    @scripts
    def test_called_with_nothing_to_do_it_leaves_nothing_behind(
        self, name: str, redis_url: str
    ) -> None:
        header, _ = split(name)
        count = max((int(number) for number in re.findall(r"ARGV\[(\d+)\]", header)), default=0)
        with redis.Redis.from_url(redis_url) as client:
            client.eval(source(name), 1, _keys.prefix("nobody"), *["1"] * count)
            assert client.keys() == []


def key_functions() -> dict[str, Callable[..., str]]:
    """The functions of `_keys.py` that make something of a namespace: keys and channels."""
    functions = inspect.getmembers(_keys, inspect.isfunction)
    return {
        name: function
        for name, function in functions
        if "namespace" in inspect.signature(function).parameters and name != "prefix"
    }


def pattern(function: Callable[..., str]) -> str:
    """What a function of `_keys.py` makes of its parameters' names."""
    names = inspect.signature(function).parameters
    return function(**{name: f"<{name}>" for name in names})


def kind_of(key: str) -> str:
    """`"ready"` of `"ltq:{shop}:ready:1:shop:pay"`."""
    match = re.match(r"ltq:(?:\{.*?\}:)?([a-z_]+)", key)
    assert match is not None, key
    return match[1]


def kinds_in(lua: str) -> set[str]:
    """The kinds of keys that a script builds from its prefix."""
    code = without_comments(lua)
    kinds = set(re.findall(r"(?:prefix|KEYS\[1\]) \.\. '([a-z_]+)", code))
    variables = set(re.findall(r"(?:prefix|KEYS\[1\]) \.\. ([a-z_]+)", code))
    assert variables <= {"index", "kind"}, "what else is built from the prefix?"
    for index, kind in re.findall(r"(?:reindex|each_due)\('([a-z]+)', '([a-z]+):'", code):
        kinds |= {index, kind}
    kinds |= set(re.findall(r"first\('([a-z]+)'\)", code))
    for names in re.findall(r"for _, index in ipairs\(\{(.*?)\}\)", code):
        kinds |= set(re.findall("'([a-z]+)'", names))
    return kinds


class Row(NamedTuple):
    """A line of the README's table of keys."""

    key: str
    function: str
    type: str
    content: str
    life: str
    written_by: str
    read_by: str


README = (LUA / "README.md").read_text("utf-8")


def table(title: str) -> Iterator[list[str]]:
    """The rows of the table in a section of the README."""
    section = README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


ROWS = {row.function.strip("`"): row for row in (Row(*cells) for cells in table("Keys"))}
TRANSITION = re.compile(r"^    (\S+) --> (\S+)(?:: (.+))?$", re.MULTILINE)


class TestReadme:
    def test_its_tables_name_every_function_of_the_keys_module(self) -> None:
        channels = {cells[1].strip("`"): cells[0].strip("`") for cells in table("Channels")}
        assert {*ROWS, *channels} == {*key_functions(), "NAMESPACES", "keyspace"}
        assert channels["keyspace"] == _keys.keyspace("<database>", "<key>")  # type: ignore[arg-type]
        for name, function in key_functions().items():
            written = channels[name] if name in channels else ROWS[name].key.strip("`")
            assert written == pattern(function).replace("ltq:{<namespace>}:", "…")

    def test_its_types_are_those_of_the_docstrings(self) -> None:
        for name, function in key_functions().items():
            kind = (function.__doc__ or "").partition(":")[0].partition(" ")[0].lower()
            assert kind == (ROWS[name].type if name in ROWS else "pub/sub")

    def test_it_says_of_every_key_why_it_does_not_stay(self) -> None:
        for row in ROWS.values():
            assert re.match(r"TTL |bounded: |none until it is final, then TTL ", row.life), row.key

    @pytest.mark.parametrize("function", [name for name in ROWS if name != "NAMESPACES"])
    def test_it_names_the_scripts_that_use_a_key(self, function: str) -> None:
        kind = kind_of(pattern(key_functions()[function]))
        named = set(re.findall(r"`(\w+)`", ROWS[function].written_by + ROWS[function].read_by))
        assert named & set(SCRIPTS) == {name for name in SCRIPTS if kind in kinds_in(source(name))}

    def test_every_field_of_a_task_is_in_its_table(self) -> None:
        fields = {name for cells in table("A task's hash") for name in re.findall(r"\w+", cells[0])}
        read = re.search(r"redis\.pcall\('HMGET'.*?\)", text_of("states"), re.DOTALL)
        assert read is not None
        assert set(re.findall(r"'([a-z_]+)'", read[0])) <= fields
        kept = {"task", "body", "queue", "lane", "priority", "ctx", "token", "tries", "deaths"}
        assert fields >= kept | {"timeout", "max_tries", "result_ttl", "max_deliveries"}

    def test_its_diagram_has_every_status_and_names_scripts(self) -> None:
        transitions = TRANSITION.findall(README)
        states = {state for begin, end, _ in transitions for state in (begin, end)}
        assert states == {status.value for status in Status} | {"[*]"}
        by = {script for *_, scripts in transitions for script in scripts.split(", ") if scripts}
        assert by == set(SCRIPTS) - {"states", "stats", "dead_letters", "copy", "purge", "examine"}

    def test_its_diagram_lets_no_final_status_change(self) -> None:
        for begin, end, script in TRANSITION.findall(README):
            if begin != "[*]" and Status(begin).is_final:
                assert (end, script) == ("[*]", "")


class TestKeysInLua:
    def test_they_are_those_of_the_keys_module(self) -> None:
        built = set[str]().union(*(kinds_in(source(name)) for name in SCRIPTS))
        named = {kind_of(pattern(function)) for function in key_functions().values()}
        assert (built - NEVER_THERE) | NOT_IN_LUA == named

    def test_what_is_never_there_is_only_deleted(self) -> None:
        lines = [line for name in SCRIPTS for line in source(name).splitlines()]
        for kind in NEVER_THERE:
            using = {without_comments(line).strip() for line in lines if f"'{kind}'" in line}
            assert using == {f"redis.call('DEL', prefix .. '{kind}')"}

    @scripts
    def test_nothing_is_looked_for_by_a_pattern(self, name: str) -> None:
        assert not re.search(r"'(KEYS|SCAN|FLUSH\w+|RANDOMKEY)'", source(name))


class TestKeysLeft:
    """After work of every kind, each key on the server ends by itself, or is bounded."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    async def work(self, broker: RedisBroker) -> None:
        """A little of everything. It leaves tasks in every state."""
        await publish_many(broker, 8)
        await publish(broker, priority=Priority.HIGH, result_ttl=60.0)
        await publish(broker, queue="mail:all", lane="mail:all/mail:send", ctx=b"{}", timeout=5.0)
        await publish(broker, queue="mail:all", delay=30.0)
        await publish(broker, fingerprint=new_id(), unique_for=60.0)
        await broker.fire(ScheduleSlot(schedule="daily", queue="mail:send", spec="", due=2**31))
        waiting, later = await publish(broker), await publish(broker, delay=30.0)
        await broker.cancel(waiting.queue, waiting.id, 60.0)
        await broker.cancel(later.queue, later.id, 60.0)
        limits = {"mail:all/mail:send": Limit(Rate(1, 1), 5)}
        queues = ["mail:send", "mail:all/mail:send"]
        async with broker.consumer(queues, lease=30.0, limits=limits) as consumer:
            deliveries = (await consumer.claim(8)).deliveries
            await self.end(broker, deliveries)
            await consumer.claim(1)

    async def end(self, broker: RedisBroker, deliveries: list[Delivery]) -> None:
        leases = [delivery.lease for delivery in deliveries]
        await broker.heartbeat(leases, 30.0)
        await broker.progress(leases[0], Progress(1))
        failure = Failure("ValueError", "ValueError: text", "Traceback ...")
        outcomes: list[Outcome] = [
            Finish(leases[0], Status.COMPLETED, b"1"),
            Finish(leases[1], Status.COMPLETED, result_ttl=0),
            Finish(leases[2], Status.FAILED, failure=failure, dead=True),
            Finish(leases[3], Status.REJECTED, failure=failure, dead=True, result_ttl=0),
            Requeue(leases[4], failed=True, failure=failure),
            Requeue(leases[5], delay=30.0, failed=True, ctx=b'{"a":1}'),
        ]
        await broker.finish(outcomes)
        await broker.cancel(leases[6].queue, leases[6].id, 60.0)

    async def die(self, broker: RedisBroker) -> None:
        """Two workers die under their task: under one of them it is the last time."""
        once = await publish(broker)
        often = await publish(broker, max_deliveries=1)
        async with broker.consumer(["mail:send"], lease=0.05) as consumer:
            claimed = {delivery.lease.id for delivery in (await consumer.claim(100)).deliveries}
        assert {once.id, often.id} <= claimed

        async def over() -> bool:
            await broker.sweep(["mail:send"])
            states = await broker.states("mail:send", [once.id, often.id])
            statuses = [state and state.status for state in states]
            return statuses == [Status.PENDING, Status.REJECTED]

        await eventually(over, description="the end of both leases")

    async def test_each_has_the_life_that_the_readme_says(
        self, broker: RedisBroker, redis_url: str
    ) -> None:
        await self.work(broker)
        await self.die(broker)
        await self.work(broker)
        await broker.repair(["mail:send"], every=60)
        kinds = set()
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            for key in client.scan_iter():
                row = ROWS["NAMESPACES" if key == _keys.NAMESPACES else kind_of(key)]
                ends = client.pttl(key) > 0
                if kind_of(key) == "task":
                    assert ends == Status(client.hget(key, "status") or "").is_final, key
                else:
                    assert ends == row.life.startswith("TTL"), key
                assert client.type(key) == row.type, key
                kinds.add(kind_of(key))
        assert kinds | PASSING == {
            kind_of(row.key.strip("`").replace("…", "ltq:{}:")) for row in ROWS.values()
        }

    async def test_when_all_is_done_only_what_is_bounded_is_left(
        self, broker: RedisBroker, redis_url: str
    ) -> None:
        for _ in range(3):
            await self.work(broker)
            await self.die(broker)
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            await self.cancel_all(broker, client)
            left = {key for key in client.scan_iter() if client.pttl(key) == -1}
            dead = client.zcard(_keys.dead("mail", "mail:send"))
            markers = sum(client.zcard(key) for key in left if kind_of(key) == "wake")
        lanes = {"mail:send", "mail:all", "mail:all/mail:send"}
        assert left - {_keys.wake("mail", lane) for lane in lanes} == {
            _keys.NAMESPACES,
            _keys.lanes("mail"),
            _keys.running("mail", "mail:all/mail:send"),
        }
        assert markers <= len(lanes)
        assert dead == 9

    async def cancel_all(self, broker: RedisBroker, client: redis.Redis) -> None:
        """Cancel all tasks, and let a claim find that there is nothing more."""
        for key in client.scan_iter(match="*task:*"):
            with suppress(TaskNotFoundError):
                await broker.cancel("mail:send", key.rpartition("task:")[2], 60.0)
        async with broker.consumer(["mail:send", "mail:all/mail:send"]) as consumer:
            assert (await consumer.claim(100)).deliveries == []


class TestNoScriptStopsHalfway:
    """What a script has written stays when it fails, so it must not fail after its first write."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    @pytest.fixture
    def client(self, redis_url: str) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            yield client

    async def count(self, broker: RedisBroker) -> int:
        """How many tasks wait or work: those that are not lost."""
        (stats,) = await broker.stats(["mail:send"])
        return stats.pending + stats.delayed + stats.working

    async def test_a_claim_of_very_many_tasks_loses_none(self, broker: RedisBroker) -> None:
        await publish_many(broker, 5000)
        async with broker.consumer(["mail:send"]) as consumer:
            with suppress(LtqError):
                await consumer.claim(5000)
        assert await self.count(broker) == 5000

    async def test_a_result_that_shall_stay_for_ever_takes_no_other_task_with_it(
        self, broker: RedisBroker
    ) -> None:
        await publish_many(broker, 2)
        async with broker.consumer(["mail:send"]) as consumer:
            first, second = (await consumer.claim(2)).deliveries
        with suppress(LtqError):
            await broker.finish(
                [
                    Finish(first.lease, Status.COMPLETED, result_ttl=math.inf),
                    Finish(second.lease, Status.COMPLETED),
                ]
            )
        state = await broker.state("mail:send", second.lease.id)
        assert state.status.is_final or await self.count(broker) >= 1

    async def test_a_priority_that_is_none_takes_no_other_task_with_it(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2)
        client.hset(_keys.task("mail", ids[0]), "priority", "high")
        async with broker.consumer(["mail:send"]) as consumer:
            deliveries = (await consumer.claim(2)).deliveries
            with suppress(LtqError):
                await broker.finish([Requeue(delivery.lease) for delivery in deliveries])
            claimed = (await consumer.claim(2)).deliveries
        assert ids[1] in {delivery.lease.id for delivery in claimed}

    @pytest.mark.parametrize("field", ["dequeue_count", "tries", "deaths", "requeue_count"])
    @pytest.mark.parametrize("value", ["", "abc", "inf", "nan", "-1", "1e400", "0x10"])
    async def test_a_counter_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, field: str, value: str
    ) -> None:
        ids = await publish_many(broker, 2)
        client.hset(_keys.task("mail", ids[0]), field, value)
        async with broker.consumer(["mail:send"]) as consumer:
            for _ in range(2):
                deliveries = (await consumer.claim(10)).deliveries
                if field == "deaths" and len(deliveries) == 1:  # the other one runs alone
                    deliveries += (await consumer.claim(10)).deliveries
                assert {delivery.lease.id for delivery in deliveries} == set(ids)
                await broker.finish([Requeue(delivery.lease) for delivery in deliveries])
        assert await self.count(broker) == 2

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "abc",
            "-1",
            "1e30",
            "inf",
        ],
    )
    async def test_a_token_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, value: str
    ) -> None:
        ids = await publish_many(broker, 2)
        client.hset(_keys.task("mail", ids[0]), "token", value)
        async with broker.consumer(["mail:send"]) as consumer:
            deliveries = (await consumer.claim(10)).deliveries
        assert {delivery.lease.id for delivery in deliveries} == set(ids)

    async def test_a_ready_key_of_another_type_is_buried(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2)
        self.spoil(client, ids[0])
        assert (await broker.states("mail:send", ids))[0] is None
        with pytest.raises(TaskNotFoundError):
            await broker.cancel("mail:send", ids[0], 60.0)
        async with broker.consumer(["mail:send"]) as consumer:
            (delivery,) = (await consumer.claim(2)).deliveries
        (stats,) = await broker.stats(["mail:send"])
        assert (delivery.lease.id, stats.working, stats.dead) == (ids[1], 1, 1)

    async def test_a_leased_key_of_another_type_is_gone(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2)
        async with broker.consumer(["mail:send"]) as consumer:
            first, second = (one.lease for one in (await consumer.claim(2)).deliveries)
        self.spoil(client, ids[0])
        assert await broker.heartbeat([first, second], 30.0) == [first]
        assert not await broker.progress(first, Progress(1))
        outcomes: list[Outcome] = [Requeue(first), Requeue(second)]
        assert await broker.finish(outcomes) == [Receipt.GONE, Receipt.OK]

    async def test_a_delayed_key_of_another_type_is_dropped(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = await publish_many(broker, 2, delay=0.01)
        self.spoil(client, ids[0])

        async def promoted() -> int:
            return (await broker.sweep(["mail:send"])).promoted

        assert await eventually(promoted) == 1
        assert await self.count(broker) == 1

    async def test_a_cleared_key_of_another_type_does_not_stop_it(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        ids = [*await publish_many(broker, 2), *await publish_many(broker, 2, delay=30.0)]
        self.spoil(client, ids[0])
        self.spoil(client, ids[2])
        assert await broker.clear("mail:send") == 4
        assert await self.count(broker) == 0

    def spoil(self, client: redis.Redis, task_id: str) -> None:
        """Put something else in the place of a task's hash."""
        client.delete(_keys.task("mail", task_id))
        client.set(_keys.task("mail", task_id), "text")
        client.expire(_keys.task("mail", task_id), 60)


class TestRecovery:
    """What a dead worker leaves of its run in the task."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    async def test_its_progress_is_gone(self, broker: RedisBroker) -> None:
        task = await publish(broker)
        async with broker.consumer(["mail:send"], lease=0.05) as consumer:
            delivery = await claim_one(broker, consumer)
        await broker.progress(delivery.lease, Progress(1))
        await lose(broker, delivery)
        assert (await broker.state(task.queue, task.id)).progress is None

    async def test_a_buried_task_does_not_show_the_error_of_an_earlier_run(
        self, broker: RedisBroker
    ) -> None:
        task = await publish(broker, max_deliveries=1)
        async with broker.consumer(["mail:send"], lease=0.05) as consumer:
            delivery = await claim_one(broker, consumer)
            failure = Failure("ValueError", "ValueError: text", "Traceback ...")
            await broker.finish([Requeue(delivery.lease, failed=True, failure=failure)])
            delivery = await claim_one(broker, consumer)
        await lose(broker, delivery)
        state = await broker.state(task.queue, task.id)
        assert state.status is Status.REJECTED
        assert state.error is not None
        assert "killed its worker" in state.error
        assert not state.error_type
        assert state.traceback is None


class TestPace:
    """The counts that `stats` makes its rate of."""

    @pytest.fixture
    async def broker(self, redis_url: str) -> AsyncIterator[RedisBroker]:
        async with RedisBroker(redis_url) as broker:
            yield broker

    @pytest.fixture
    def client(self, redis_url: str) -> Iterator[redis.Redis]:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            yield client

    KEY = _keys.throughput("mail", "mail:send")

    async def end(self, broker: RedisBroker, count: int) -> None:
        await publish_many(broker, count)
        async with broker.consumer(["mail:send"]) as consumer:
            deliveries = (await consumer.claim(count)).deliveries
            await broker.finish([Finish(one.lease, Status.COMPLETED) for one in deliveries])

    async def rate(self, broker: RedisBroker) -> float:
        (stats,) = await broker.stats(["mail:send"])
        return stats.rate

    def step(self, client: redis.Redis) -> int:
        return int(client.time()[0]) // 10

    async def test_what_ended_more_than_a_minute_ago_does_not_count(
        self, broker: RedisBroker, client: redis.Redis
    ) -> None:
        step = self.step(client)
        client.hset(self.KEY, mapping={str(step - age): "600" for age in range(7, 20)})
        assert await self.rate(broker) == 0.0
        client.hset(self.KEY, str(step - 2), "120")
        assert 120 / 60 <= await self.rate(broker) <= 120 / 40

    async def test_what_is_old_goes(self, broker: RedisBroker, client: redis.Redis) -> None:
        step = self.step(client)
        for age in (-3, -2, *range(1, 20)):
            client.hset(self.KEY, str(step - age), "1")
        client.hset(self.KEY, "garbage", "1")
        await self.end(broker, 1)
        assert set(client.hkeys(self.KEY)) <= {str(step - age) for age in range(-1, 6)}
        assert 60 < client.ttl(self.KEY) <= 120

    @pytest.mark.parametrize("value", ["", "garbage", "nan", "1e400", "9223372036854775807"])
    async def test_a_count_of_any_text_is_survived(
        self, broker: RedisBroker, client: redis.Redis, value: str
    ) -> None:
        step = self.step(client)
        client.hset(self.KEY, mapping={str(step): value, str(step + 1): value})
        await self.rate(broker)
        await self.end(broker, 2)
        await self.end(broker, 2)
        assert 0 < await self.rate(broker) < 1
        assert client.ttl(self.KEY) > 0

    async def test_a_call_writes_it_once(self, broker: RedisBroker, client: redis.Redis) -> None:
        await self.end(broker, 1)
        client.config_resetstat()
        await self.end(broker, 100)
        assert client.info("commandstats")["cmdstat_hincrby"]["calls"] == 1
