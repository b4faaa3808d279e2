"""What doctor finds out from RabbitMQ's management API, and what it says where that is not seen."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest

from devtools.rabbitmq import RabbitServer, User
from ltq import ConfigurationError
from ltq.broker import Broker, Finding
from ltq.broker.findings import Severity
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._doctor import inside, management
from ltq.brokers.rabbitmq._doctor.answers import Deprecated, Node, Overview, Queue
from ltq.brokers.rabbitmq._doctor.checks import (
    check_deprecated,
    check_nodes,
    check_policies,
    check_queues,
    check_waiting,
)
from ltq.brokers.rabbitmq._doctor.management import Management
from ltq.brokers.rabbitmq._intake.pump import ROOM
from ltq.brokers.rabbitmq._server.url import parse_url
from ltq.message import Envelope, new_id
from ltq.testing import FlakyBroker
from tests.eventually import eventually

POLICIES: dict[str, dict[str, Any]] = {
    r"^short\.": {"message-ttl": 60_000},
    r"^full\.": {"max-length": 10},
    r"^refusing\.": {"max-length": 10, "overflow": "reject-publish"},
    r"^strict\.": {"delivery-limit": 5},
    r"^dead\.dead$": {"max-length": 1000},
}


@pytest.fixture(scope="module")
def server(rabbitmq_executable: str) -> Iterator[RabbitServer]:
    users = [User("blind", ".*", ".*", ".*"), User("sees", ".*", ".*", ".*", "management")]
    with RabbitServer(rabbitmq_executable, users=users, policies=POLICIES) as server:
        yield server


def url_of(server: RabbitServer, prefix: str = "well", user: str = "ltq") -> str:
    place = f"{server.url_of(user)}?state=memory://{new_id()}"
    return f"{place}&prefix={prefix}&management={server.management_url}"


async def send(broker: Broker, worker: str = "mail") -> None:
    name = f"{worker}:send"
    await broker.publish([Envelope(id=new_id(), queue=name, task_name=name, body=b"[[],{}]")])


async def found_by(broker: RabbitBroker, name: str) -> list[Finding]:
    return [one for one in await broker.examine() if one.name == name]


async def policies_of(server: RabbitServer, prefix: str) -> list[Finding]:
    """What is said of policies, once the API knows what they set: it takes its time for that."""
    async with RabbitBroker(url_of(server, prefix)) as broker:
        await send(broker)
        found: list[Finding] = []

        async def is_known() -> bool:
            found[:] = await broker.examine()
            is_counted = any(f"{prefix}.mail 1 waiting" in one.text for one in found)
            return is_counted and not any("not known yet" in one.text for one in found)

        await eventually(is_known, timeout=40)
        return [one for one in found if one.name == "rabbitmq policies"]


HARMFUL = {
    "short": (Severity.DANGER, "sets message-ttl=60000 for short.mail: RabbitMQ takes tasks out"),
    "full": (Severity.DANGER, "sets max-length=10 for full.mail: RabbitMQ takes the oldest"),
    "refusing": (Severity.WARNING, "the store alone takes what is sent"),
    "strict": (Severity.WARNING, "sets delivery-limit=5 for strict.mail"),
    "dead": (Severity.WARNING, "dead messages are dropped"),
}


class TestPolicies:
    async def test_those_that_do_harm_are_named(self, server: RabbitServer) -> None:
        looks = await asyncio.gather(*(policies_of(server, prefix) for prefix in HARMFUL))
        for found, (severity, text) in zip(looks, HARMFUL.values(), strict=True):
            assert all(one.text.startswith("policy 'policy ") for one in found), found
            assert any(text in one.text and one.severity is severity for one in found), found

    async def test_the_others_are_not(self, server: RabbitServer) -> None:
        (found,) = await policies_of(server, "well")
        assert (found.severity, found.text) == (Severity.OK, "no policy drops tasks")


async def forget(message: aio_pika.abc.AbstractIncomingMessage) -> None:
    """Take a message, and never acknowledge it."""


class TestQueues:
    async def test_messages_that_are_taken_and_not_acknowledged(self, server: RabbitServer) -> None:
        name = "mail:send"
        sent = [
            Envelope(id=new_id(), queue=name, task_name=name, body=b"[[],{}]") for _ in range(ROOM)
        ]
        async with RabbitBroker(url_of(server, "taken")) as broker:
            await broker.publish(sent)
            connection = await aio_pika.connect(server.url)
            async with connection:
                channel = await connection.channel()
                queue = await channel.get_queue("taken.mail")
                await queue.consume(forget)

                async def is_told() -> bool:
                    texts = [one.text for one in await found_by(broker, "rabbitmq queues")]
                    return "500 messages of taken.mail are taken and not acknowledged" in texts

                await eventually(is_told, timeout=40)

    async def test_a_classic_queue(self, server: RabbitServer) -> None:
        connection = await aio_pika.connect(server.url)
        async with connection:
            await (await connection.channel()).declare_queue("classic.mail", durable=True)
        store = FlakyBroker(Broker.from_url(f"memory://{new_id()}"))
        await send(store)
        async with RabbitBroker(url_of(server, "classic"), store=store) as broker:

            async def is_told() -> bool:
                found = await found_by(broker, "rabbitmq queues")
                return any("classic.mail is a classic queue" in one.text for one in found)

            await eventually(is_told)

    async def test_one_of_a_worker_that_the_store_does_not_know(self, server: RabbitServer) -> None:
        store = FlakyBroker(Broker.from_url(f"memory://{new_id()}"))
        async with RabbitBroker(url_of(server, "alone"), store=store) as broker:
            with store.fail():
                await send(broker, "shop")

            async def is_told() -> bool:
                texts = [one.text for one in await found_by(broker, "rabbitmq")]
                return "1 messages wait in alone.shop, which nobody reads" in texts

            await eventually(is_told, timeout=40)

    async def test_what_others_have_declared_is_theirs(self, server: RabbitServer) -> None:
        connection = await aio_pika.connect(server.url)
        async with connection:
            await (await connection.channel()).declare_queue("theirs.ears", durable=True)
        async with RabbitBroker(url_of(server, "theirs")) as broker:
            await send(broker)
            assert not [one for one in await broker.examine() if "theirs.ears" in one.text]


class TestNodes:
    async def test_an_alarm(self, server: RabbitServer) -> None:
        async with RabbitBroker(url_of(server)) as broker:
            (found,) = await found_by(broker, "rabbitmq nodes")
            assert found.severity is Severity.OK
            server.control("set_vm_memory_high_watermark", "0.000001")
            try:

                async def is_told() -> bool:
                    (found,) = await found_by(broker, "rabbitmq nodes")
                    return "memory alarm" in found.text

                await eventually(is_told, timeout=40)
            finally:
                server.control("set_vm_memory_high_watermark", "0.4")


class TestNotSeen:
    async def test_a_user_who_may_not_look(self, server: RabbitServer) -> None:
        async with RabbitBroker(url_of(server, user="blind")) as broker:
            (found,) = await found_by(broker, "management")
        assert found.severity is Severity.WARNING
        assert "lets user 'blind' not look" in found.text
        assert "`rabbitmq-plugins enable rabbitmq_management`" in found.advice
        assert "secret" not in f"{found.text}{found.advice}"

    async def test_one_who_may_look_at_queues_only(self, server: RabbitServer) -> None:
        async with RabbitBroker(url_of(server, user="sees")) as broker:
            (found,) = await found_by(broker, "management")
            assert found.text.startswith("alarms and partitions were not looked at")
            assert await found_by(broker, "rabbitmq policies")

    async def test_a_user_of_its_own(self, server: RabbitServer) -> None:
        url = url_of(server, user="blind").replace("http://", "http://ltq:secret@")
        async with RabbitBroker(url) as broker:
            assert not await found_by(broker, "management")

    async def test_one_that_is_not_there_is_no_fault(self, server: RabbitServer) -> None:
        """Its usual port is 10 000 above that of AMQP; here nobody listens."""
        async with RabbitBroker(url_of(server).partition("&management")[0]) as broker:
            (found,) = await found_by(broker, "management")
        assert found.severity is Severity.OK
        assert f"http://127.0.0.1:{server.port + 10_000}: nothing listens there" in found.text

    async def test_nobody_looks_if_the_url_says_so(self, server: RabbitServer) -> None:
        url = f"{url_of(server).partition('&management')[0]}&management=no"
        async with RabbitBroker(url) as broker:
            assert not await found_by(broker, "management")

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"-ERR unknown command\r\n", "it answers no HTTP"),
            (b"", "it answers no HTTP"),
            (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "answers 302 Found"),
            (b"HTTP/1.1 200 OK\r\n\r\n<html>", "is not a management API"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "is not a management API"),
            (b'HTTP/1.1 200 OK\r\n\r\n{"cluster_name": "other"}', "belongs to 'other'"),
            (None, "does not answer in time"),
        ],
    )
    async def test_what_is_something_else(
        self,
        server: RabbitServer,
        answer: bytes | None,
        said: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if answer is None:
            monkeypatch.setattr(inside, "_WITHIN", 0.2)
        async with answering(answer) as place:
            url = f"{url_of(server).partition('&management')[0]}&management={place}"
            async with RabbitBroker(url) as broker:
                (found,) = await found_by(broker, "management")
        assert said in found.text


@asynccontextmanager
async def answering(answer: bytes | Callable[[str], bytes] | None) -> AsyncIterator[str]:
    """A server that answers each request with this, or by its path, or not at all.

    The value is its URL.
    """

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            path = request.decode().split()[1]
            writer.write(answer if isinstance(answer, bytes) else answer(path))
        writer.close()

    listening = await asyncio.start_server(answer_one, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def seen(server: RabbitServer, answers: Mapping[str, object]) -> list[Finding]:
    """What is found if the API answers these paths so, as JSON, and others with an error."""
    api = parse_url(url_of(server)).management
    assert api is not None
    overview = await Management(api, None).get("/api/overview", Overview)
    known = {"/api/overview": {"cluster_name": overview.cluster_name}, **answers}

    def answer(path: str) -> bytes:
        begins = [one for one in known if path.startswith(one)]
        if not begins:
            return b"HTTP/1.1 500 Internal Server Error\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(known[begins[0]]).encode()

    async with answering(answer) as place:
        url = f"{url_of(server).partition('&management')[0]}&management={place}"
        async with RabbitBroker(url) as broker:
            return await broker.examine()


class TestOtherServers:
    """What the server of the tests cannot show: many queues, a newer version, an error."""

    async def test_all_pages_are_read(self, server: RabbitServer) -> None:
        def page(number: int) -> dict[str, object]:
            arguments = {"x-dead-letter-exchange": "well.dead"}
            queue = {"name": f"well.w{number}", "arguments": arguments, "messages_ready": number}
            return {"items": [queue], "page_count": 3}

        pages = {f"/api/queues/%2F?page={number}&": page(number) for number in (1, 2, 3)}
        used = [{"name": "management_metrics_collection", "deprecation_phase": "permitted"}]
        answers = {"/api/nodes": [], **pages, "/api/deprecated-features/used": used}
        texts = [one.text for one in await seen(server, answers)]
        assert "3 messages wait in well.w3, which nobody reads" in texts
        assert "deprecated features are in use: management_metrics_collection" in texts

    async def test_an_error_is_told(self, server: RabbitServer) -> None:
        (found,) = [one for one in await seen(server, {}) if one.name == "management"]
        assert "answers 500 Internal Server Error" in found.text

    async def test_an_answer_without_end_is_not_read(
        self, server: RabbitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(management, "_MOST_BYTES", 1000)
        async with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000) as place:
            url = f"{url_of(server).partition('&management')[0]}&management={place}"
            async with RabbitBroker(url) as broker:
                (found,) = await found_by(broker, "management")
        assert "its answer has more than 1000 bytes" in found.text

    async def test_tls_files_that_are_wrong_are_told(self, server: RabbitServer) -> None:
        place = url_of(server).partition("&management")[0]
        url = f"{place}&management=https://127.0.0.1:1&cafile=/nowhere/ca.crt"
        async with RabbitBroker(url) as broker:
            (found,) = await found_by(broker, "management")
        assert "its TLS files" in found.text

    async def test_a_worker_of_the_store_need_not_be_known_to_rabbitmq(
        self, server: RabbitServer
    ) -> None:
        store = Broker.from_url(f"memory://{new_id()}")
        await send(store, "elsewhere")
        async with RabbitBroker(url_of(server), store=store) as broker:
            assert not [one for one in await broker.examine() if "elsewhere" in one.text]


class TestUrl:
    def test_it_is_beside_amqp(self) -> None:
        for url, shown in (
            ("amqp://mq/?state=memory://a", "http://mq:15672"),
            ("amqp://[::1]:5673/?state=memory://a", "http://[::1]:15673"),
            ("amqps://mq/?state=memory://a", "https://mq:15671"),
        ):
            api = parse_url(url).management
            assert api is not None
            assert (api.shown, api.is_named) == (shown, False)

    def test_there_may_be_no_such_port(self) -> None:
        assert parse_url("amqp://mq:60000/?state=memory://a").management is None

    def test_it_may_be_elsewhere(self) -> None:
        api = parse_url("amqp://mq/?state=memory://a&management=https://eye/mq/").management
        assert api is not None
        assert (api.shown, api.user) == ("https://eye:443/mq", "guest")

    def test_its_password_may_have_any_character(self) -> None:
        url = "amqp://mq/?state=memory://a&management=http://j%2540e:p%253Aw%252F@eye:1"
        api = parse_url(url).management
        assert api is not None
        assert (api.user, api.password) == ("j@e", "p:w/")

    @pytest.mark.parametrize(
        "given", ["ftp://mq", "mq:15672", "http://", "http://mq:port", "http://mq/?a=b", "yes"]
    )
    def test_what_it_is_not(self, given: str) -> None:
        url = f"amqp://mq/?state=memory://a&management={given.replace('//', '//joe:s3cret@')}"
        with pytest.raises(ConfigurationError, match="management= should be like") as caught:
            Broker.from_url(url)
        assert "s3cret" not in str(caught.value)


def queue(**fields: Any) -> Queue:
    return Queue(**{"name": "ltq.mail", "type": "quorum", **fields})


Check = Callable[[], Sequence[Finding]]


class TestChecks:
    """What one node cannot show."""

    @pytest.mark.parametrize(
        ("check", "severity", "text"),
        [
            (lambda: check_nodes([Node(name="b", running=False)]), Severity.WARNING, "not run"),
            (
                lambda: check_nodes([Node(name="a", partitions=["b", "c"])]),
                Severity.DANGER,
                "node a has lost b, c: a partition",
            ),
            (lambda: check_nodes([Node(disk_free_alarm=True)]), Severity.WARNING, "disk alarm"),
            (
                lambda: check_queues([queue(members=["a", "b", "c"], online=["a"])], 3),
                Severity.DANGER,
                "stands still: 1 of the 3",
            ),
            (
                lambda: check_queues([queue(members=["a", "b", "c"], online=["a", "b"])], 3),
                Severity.WARNING,
                "2 of the 3 nodes with a copy are there",
            ),
            (
                lambda: check_queues([queue(members=["a"], online=["a"])], 3),
                Severity.WARNING,
                "has 1 copy on 3 nodes",
            ),
            (
                lambda: check_queues([queue(messages_unacknowledged=1000, consumers=2)], 1),
                Severity.WARNING,
                "1000 messages of ltq.mail are taken",
            ),
            (
                lambda: check_waiting("ltq.mail", 10_001, 2),
                Severity.WARNING,
                "10001 messages wait in ltq.mail: 2 consumers do not keep up",
            ),
            (
                lambda: check_deprecated([Deprecated(name="global_qos")]),
                Severity.OK,
                "in use: global_qos",
            ),
            (
                lambda: check_policies(
                    [queue(operator_policy="all", effective_policy_definition={"expires": 1000})],
                    "ltq.dead",
                ),
                Severity.DANGER,
                "operator policy 'all' sets expires=1000 for ltq.mail",
            ),
        ],
    )
    def test_what_is_wrong_is_told(self, check: Check, severity: Severity, text: str) -> None:
        found, *_ = check()
        assert found.severity is severity
        assert text in found.text
        assert found.advice

    def test_what_is_as_it_should_be_is_not(self) -> None:
        copies = ["a", "b", "c"]
        busy = queue(
            members=copies, online=copies, messages_ready=7, messages_unacknowledged=9, consumers=2
        )
        (found,) = check_queues([busy], 3)
        assert found.severity is Severity.OK
        assert "ltq.mail 7 waiting, 9 unacknowledged, consumers 2" in found.text
        (found,) = check_policies([queue(effective_policy_definition=[])], "ltq.dead")
        assert (found.severity, found.advice) == (Severity.OK, "")
        assert check_deprecated([]) == []
        assert check_waiting("ltq.mail", 10_000, 2) == check_waiting("ltq.mail", 0, 0) == []

    def test_what_is_not_known_yet_is_told(self) -> None:
        (found,) = check_policies([queue(policy="new")], "ltq.dead")
        assert found.severity is Severity.OK
        assert found.text == "what policy 'new' sets for ltq.mail is not known yet"

    def test_many_queues_are_named_in_part(self) -> None:
        many = [queue(name=f"ltq.{number}") for number in range(7)]
        (found,) = check_queues(many, 1)
        assert found.text.endswith("; and 2 more")
        assert "ltq.0 ? waiting" in found.text
        policies = {"message-ttl": 5}
        many = [
            queue(name=f"ltq.{number}", policy="p", effective_policy_definition=policies)
            for number in range(7)
        ]
        (found,) = check_policies(many, "ltq.dead")
        assert "ltq.3, ltq.4, 2 more: " in found.text
