"""What URLs of RabbitMQ may say, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from ltq import ConfigurationError
from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._server.connect import has_quorum
from ltq.brokers.rabbitmq._server.url import parse_url

SECRET = "s3cret"
PLACE = f"amqp://joe:{SECRET}@mq"


class TestTarget:
    def test_all_may_be_said(self) -> None:
        target = parse_url(
            f"{PLACE}:5673/shop%2Fone?state=redis%3A%2F%2Fcache%2F0%3Fprefix%3Da%26history%3D0"
            "&prefix=acme&heartbeat=5"
        )
        assert (target.host, target.port, target.vhost) == ("mq", 5673, "shop/one")
        assert (target.user, target.password) == ("joe", SECRET)
        assert target.state == "redis://cache/0?prefix=a&history=0"
        assert (target.prefix, target.heartbeat) == ("acme", 5)

    def test_little_need_be_said(self) -> None:
        target = parse_url("amqp://mq?state=memory://a")
        assert (target.port, target.vhost, target.user) == (5672, "/", "guest")
        assert (target.prefix, target.is_tls) == ("ltq", False)

    def test_a_vhost_and_a_password_may_have_any_character(self) -> None:
        target = parse_url("amqp://j%40e:a%2Cb%2F%3A%25@mq/a,b%2F@?state=memory://a")
        assert (target.user, target.password) == ("j@e", "a,b/:%")
        assert (target.host, target.vhost) == ("mq", "a,b/@")

    def test_over_tls_there_is_another_port(self) -> None:
        target = parse_url("amqps://mq/?state=memory://a&cafile=/tls/ca.crt")
        assert (target.port, target.is_tls) == (5671, True)
        assert target.files == (("cafile", "/tls/ca.crt"),)


class TestWrongUrl:
    @pytest.mark.parametrize(
        ("rest", "named"),
        [
            ("/", "has no state="),
            ("/?state=", "has no state="),
            ("/?state=amqp://other/?state=memory://a", "state='amqp://other/' is not allowed"),
            ("/?state=amqps://other", "state='amqps://other' is not allowed"),
            ("/?state=memory://a&prefix=a/b", "prefix='a/b' is not allowed"),
            ("/?state=memory://a&heartbeat=0", "heartbeat='0' is not allowed"),
            ("/?state=memory://a&heartbeat=soon", "heartbeat='soon' is not allowed"),
            ("/?state=memory://a&colour=red", "unknown parameter 'colour'"),
            ("/?state=memory://a&state=memory://b", "'state' is given twice"),
            ("/a/b?state=memory://a", "cannot be read"),
            (":port/?state=memory://a", "cannot be read"),
            ("/?state=nowhere://a", "no known scheme"),
            (",mq2/?state=memory://a", "names several hosts"),
            (":5672,mq2:5672/?state=memory://a", "names several hosts"),
            (f"/?state=memory://a&prefix={'p' * 55}", "is not allowed: 1 to 54 of"),
        ],
    )
    def test_it_is_named_and_the_password_is_not(self, rest: str, named: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Broker.from_url(PLACE + rest)
        assert named in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_a_name_may_not_stand_for_rabbitmq_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LTQ_BROKER_URL_STORE", "amqp://other/?state=memory://a")
        with pytest.raises(ConfigurationError, match="RabbitMQ keeps no states"):
            Broker.from_url("amqp://mq/?state=@store")

    def test_a_store_is_a_broker(self) -> None:
        with pytest.raises(ConfigurationError, match="store=7 is not allowed"):
            RabbitBroker("amqp://mq/?state=memory://a", store=7)  # type: ignore[arg-type]


class TestShown:
    def test_the_url_names_both_and_no_password(self) -> None:
        broker = Broker.from_url(f"{PLACE}/shop?state=redis://:{SECRET}@cache:6379/0")
        assert broker.url == "amqp://mq:5672/shop?state=redis://cache:6379/0"

    def test_so_does_one_of_an_address_with_colons(self) -> None:
        url = f"amqp://joe:{SECRET}@[::1]:5673/shop?state=memory://a"
        assert Broker.from_url(url).url == "amqp://[::1]:5673/shop?state=memory://a"
        assert parse_url(url).place == "RabbitMQ at [::1]:5673, vhost 'shop'"

    def test_a_name_may_stand_for_the_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LTQ_BROKER_URL_STORE", "memory://named")
        assert Broker.from_url("amqp://mq/?state=@store").url.endswith("?state=memory://named")

    def test_what_is_local_is_so_by_its_store(self) -> None:
        assert RabbitBroker("amqp://mq/?state=memory://a").is_local
        broker = RabbitBroker("amqp://mq/?state=redis://a", store=MemoryBroker("memory://b"))
        assert broker.url.endswith("?state=memory://b")


class TestInFolder:
    """A relative path of the store's in `ltq.toml` starts in the folder of that file."""

    @pytest.mark.parametrize(
        "store", ["sqlite:///jobs.db%3Fsync=normal", "sqlite%3A%2F%2F%2Fjobs.db"]
    )
    def test_a_path_of_the_store_starts_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
    ) -> None:
        url = f"amqp://mq/?prefix=acme&state={store}"
        (tmp_path / "ltq.toml").write_text(f'[brokers.mq]\nurl = "{url}"\n')
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        broker = Broker.from_url("@mq")
        assert broker.url == f"amqp://mq:5672/?state=sqlite:///{tmp_path}/jobs.db"

    @pytest.mark.parametrize(
        "url", ["amqp://mq/?state=memory%3A%2F%2Fa", "amqp://mq/?state=nowhere%3A%2F%2F%2Fa"]
    )
    def test_others_stay_as_they_are(self, url: str) -> None:
        assert RabbitBroker.in_folder(url, "/folder") == url


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "known"),
        [("3.7.28", False), ("3.8.0", True), ("3.13.7", True), ("4.1.0", True), ("lavin", True)],
    )
    def test_quorum_queues_are_there_since_3_8(self, version: str, known: bool) -> None:
        assert has_quorum(version) is known
