"""A setting or a right that is wrong: one error names it, soon, and never the password."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from devtools.rabbitmq import RabbitServer, User
from devtools.redis_sets.certificates import Certificates
from ltq import BrokerError
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.message import Envelope, Published, new_id
from tests.cli.processes import run_ltq
from tests.eventually import eventually

NAMES = r"ltq(\..*)?"
ODD = "a/b:%+@?#&=\\ ü"


@pytest.fixture(scope="module")
def server(rabbitmq_executable: str) -> Iterator[RabbitServer]:
    users = [
        User("nothing"),
        User("reader", read=NAMES),
        User("declares", configure=NAMES, read=NAMES),
        User("uses", write=NAMES, read=NAMES),
        User("writes", write=NAMES),
        User("half", configure=r"^half(\.dead|\.events)?$", write=".*", read=".*"),
        User("j@e:ü", ".*", ".*", ".*", password=ODD, vhost="shop/one%2F"),
    ]
    with RabbitServer(rabbitmq_executable, users=users) as server:
        yield server


@pytest.fixture(scope="module")
def old_server(rabbitmq_executable: str) -> Iterator[RabbitServer]:
    with RabbitServer(rabbitmq_executable, has_quorum=False) as server:
        yield server


def envelope() -> Envelope:
    return Envelope(id=new_id(), queue="mail:send", task_name="mail:send", body=b"[[],{}]")


async def refusal(url: str) -> str:
    """What a send is told."""
    began = time.monotonic()
    async with RabbitBroker(f"{url}?state=memory://{new_id()}") as broker:
        with pytest.raises(BrokerError) as caught:
            await broker.publish([envelope()])
        assert time.monotonic() - began < 5
        with pytest.raises(BrokerError):
            await broker.publish([envelope()])
    assert "secret" not in str(caught.value)
    return str(caught.value)


class TestRefused:
    async def test_a_wrong_password(self, server: RabbitServer) -> None:
        said = await refusal(f"amqp://ltq:secret2@127.0.0.1:{server.port}/")
        assert "it refuses user 'ltq' with this password" in said

    async def test_a_vhost_that_is_missing(self, server: RabbitServer) -> None:
        said = await refusal(f"{server.url}shop")
        assert "vhost 'shop'" in said
        assert "not found" in said

    async def test_no_right_to_declare(self, server: RabbitServer) -> None:
        said = await refusal(server.url_of("nothing"))
        assert "refused for user 'nothing'" in said

    async def test_nor_is_there_what_others_have_declared(self, server: RabbitServer) -> None:
        for user, named in (("nothing", "exchange 'new'"), ("half", "queue 'half.mail'")):
            prefix = "new" if user == "nothing" else "half"
            broker = RabbitBroker(
                f"{server.url_of(user)}?prefix={prefix}&state=memory://{new_id()}"
            )
            async with broker:
                with pytest.raises(BrokerError, match=f"access to {named}"):
                    await broker.publish([envelope()])

    async def test_no_right_to_write(self, server: RabbitServer) -> None:
        said = await refusal(server.url_of("declares"))
        assert "refused for user 'declares'" in said

    async def test_no_right_to_read(
        self, server: RabbitServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Sends go on, and the worker has what is in the store."""
        state = f"?state=memory://{new_id()}"
        async with RabbitBroker(server.url + state) as admin:
            await admin.publish([envelope()])
        url = server.url_of("writes") + state
        async with RabbitBroker(url) as broker, broker.consumer(["mail:send"]) as consumer:
            assert await broker.publish([envelope()]) == [Published.CREATED]
            assert len(await broker.claim(consumer, 10, timeout=5)) == 2
            await eventually(lambda: "until that is fixed, nothing is read there" in caplog.text)

    async def test_a_server_without_quorum_queues(self, old_server: RabbitServer) -> None:
        assert "it has no quorum queues" in await refusal(old_server.url)

    async def test_ping_says_it_as_well(self, server: RabbitServer) -> None:
        async with RabbitBroker(f"{server.url}shop?state=memory://") as broker:
            with pytest.raises(BrokerError, match="vhost 'shop'") as caught:
                await broker.ping()
        assert not caught.value.is_away

    async def test_a_worker_does_not_wait_for_what_waiting_does_not_mend(
        self, server: RabbitServer, tmp_path: Path
    ) -> None:
        (tmp_path / "jobs.py").write_text("import ltq\nworker = ltq.Worker('mail')\n")
        url = f"{server.url}shop?state=sqlite:///{tmp_path}/jobs.db"
        done = await run_ltq("run", "jobs:worker", "--broker-url", url, cwd=tmp_path)
        assert done.code == 1
        first, last = done.err.splitlines()
        assert "INFO" in first
        assert last.startswith("ltq: ")
        assert "vhost shop not found" in last
        assert "secret" not in done.err


@pytest.fixture(scope="module")
def tls_server(rabbitmq_executable: str, certificates: Certificates) -> Iterator[RabbitServer]:
    looks = "ssl_options.verify = verify_peer"  # at the certificates of clients that have one
    with RabbitServer(rabbitmq_executable, looks, certificates=certificates) as server:
        yield server


class TestTls:
    async def test_the_authority_is_named_in_the_url(
        self, tls_server: RabbitServer, certificates: Certificates
    ) -> None:
        url = f"{tls_server.tls_url}?state=memory://{new_id()}&cafile={certificates.authority}"
        async with RabbitBroker(url) as broker:
            assert await broker.publish([envelope()]) == [Published.CREATED]
            (found, *_) = await broker.examine()
            assert "takes tasks" in found.text

    async def test_a_client_may_have_a_certificate(
        self, tls_server: RabbitServer, certificates: Certificates
    ) -> None:
        url = f"{tls_server.tls_url}?state=memory://{new_id()}&cafile={certificates.authority}"
        files = (f"{certificates.folder}/client.{kind}" for kind in ("crt", "key"))
        url += "&certfile={}&keyfile={}".format(*files)
        async with RabbitBroker(url) as broker:
            assert await broker.publish([envelope()]) == [Published.CREATED]

    async def test_a_server_that_nobody_trusts_is_refused(self, tls_server: RabbitServer) -> None:
        assert "certificate verify failed" in await refusal(tls_server.tls_url)

    async def test_a_file_that_is_missing_is_told(self, tls_server: RabbitServer) -> None:
        url = f"{tls_server.tls_url}?state=memory://&cafile=/nowhere/ca.crt"
        async with RabbitBroker(url) as broker:
            with pytest.raises(BrokerError, match="TLS files"):
                await broker.publish([envelope()])


class TestEnough:
    async def test_who_may_not_declare_uses_what_is_there(self, server: RabbitServer) -> None:
        state = f"?state=memory://{new_id()}"
        async with RabbitBroker(server.url + state) as admin:
            assert await admin.publish([envelope()]) == [Published.CREATED]
        async with RabbitBroker(server.url_of("uses") + state) as broker:
            assert await broker.publish([envelope()]) == [Published.CREATED]
            async with broker.consumer(["mail:send"]) as consumer:
                assert len(await broker.claim(consumer, 10, timeout=5)) == 2

    async def test_names_and_passwords_may_have_any_character(self, server: RabbitServer) -> None:
        who = ":".join(quote(one, safe="") for one in ("j@e:ü", ODD))
        vhost = quote("shop/one%2F", safe="")
        place = f"amqp://{who}@127.0.0.1:{server.port}/{vhost}"
        async with RabbitBroker(f"{place}?state=memory://{new_id()}") as broker:
            assert await broker.publish([envelope()]) == [Published.CREATED]
            (found, *_) = await broker.examine()
        assert found.text.endswith("vhost 'shop/one%2F', takes tasks")
