"""Broker URLs of Sentinel and Cluster, and where addresses lead that servers tell."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import MovedError

from ltq import Broker, ConfigurationError
from ltq.broker import redact
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._connect.addresses import Address, parse_address, translation
from ltq.brokers.redis._server.location import Location, parse_location
from ltq.brokers.redis._server.opening import Opening
from ltq.brokers.redis._server.refusals import refusal
from ltq.brokers.redis._server.url import split_url


class TestSentinelUrls:
    def test_it_names_the_sentinels_the_master_and_the_database(self) -> None:
        location = parse_location("redis+sentinel://ann:secret@s1:1,[::1]:2,s3/shop/3?prefix=a")
        assert location == Location(
            "sentinel",
            "redis://ann:secret@s1:1/3?prefix=a",
            (Address("s1", 1), Address("::1", 2), Address("s3", 26379)),
            "shop",
        )

    def test_an_ipv6_host_may_be_the_first_one(self) -> None:
        assert parse_location("rediss+sentinel://[fe80::1]:7/shop").url == "rediss://[fe80::1]:7/"

    def test_the_sentinels_have_a_user_and_password_of_their_own(self) -> None:
        url = "rediss+sentinel://ann:a@s1/shop/2?sentinel_username=bob&sentinel_password=b%3F%40c"
        split = split_url(f"{url}&ssl_cert_reqs=none", check=True)
        assert split.sentinel_url == "rediss://bob:b%3F%40c@s1:26379?ssl_cert_reqs=none"
        assert split.location.url == "rediss://ann:a@s1:26379/2?ssl_cert_reqs=none"

    @pytest.mark.parametrize(
        "url",
        [
            "s1",
            "s1/",
            "s1/shop/x",
            "/shop",
            "s1:0/shop",
            "s1:x/shop",
            "s1:6_3/shop",
            "[::1/shop",
            ",/shop",
            "s1,bob:other@s2/shop",
        ],
    )
    def test_one_that_cannot_be_read_is_refused_with_an_example(self, url: str) -> None:
        example = r"redis\+sentinel://user:password@host1:26379,host2:26379/name-of-the-master/0"
        with pytest.raises(ConfigurationError, match=example) as refused:
            Broker.from_url(f"redis+sentinel://ann:secret@{url}")
        assert "secret" not in str(refused.value)


class TestClusterUrls:
    def test_it_names_nodes(self) -> None:
        location = parse_location("redis+cluster://h1:7001,h2/")
        assert location.nodes == (Address("h1", 7001), Address("h2", 6379))
        assert location.url == "redis://h1:7001/"

    @pytest.mark.parametrize("url", ["h1/3", "h1?db=3"])
    def test_another_database_than_0_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="a cluster has only database 0"):
            Broker.from_url(f"redis+cluster://{url}")

    def test_0_is_what_it_has(self) -> None:
        Broker.from_url("redis+cluster://h1/0")

    def test_parameters_of_sentinels_are_refused(self) -> None:
        with pytest.raises(
            ConfigurationError, match="no use for the parameter 'sentinel_password'"
        ):
            Broker.from_url("redis+cluster://h1?sentinel_password=x")


@pytest.mark.parametrize("kind", ["redis", "rediss"])
@pytest.mark.parametrize("location", ["+sentinel://s1/shop", "+cluster://h1,h2"])
def test_a_broker_is_made_of_each_scheme(kind: str, location: str) -> None:
    assert isinstance(Broker.from_url(f"{kind}{location}"), RedisBroker)


@pytest.mark.parametrize(
    ("url", "advised"),
    [
        ("redis://ann:secret@h1:7/0?prefix=a", "redis+cluster://h1:7"),
        ("rediss://:secret@h1", "rediss+cluster://h1"),
        ("rediss://[::1]:7/", "rediss+cluster://[::1]:7"),
        ("redis://", ""),
        ("unix://ann:secret@/run/redis.sock", ""),
    ],
)
def test_a_node_of_a_cluster_is_better_called_by(url: str, advised: str) -> None:
    assert parse_location(url).cluster_url == advised


async def test_a_server_that_sends_to_another_one_tells_this() -> None:
    """Over TLS, too: the advice keeps the scheme."""
    link = Opening("rediss://:secret@h1:7", None, None, None).new_link()
    error = MovedError("5 10.0.0.1:6379")
    told = str(refusal(error, link.name, link.cluster_url))
    assert told.endswith("is a node of a Redis Cluster: use rediss+cluster://h1:7")


@pytest.mark.parametrize("scheme", ["redis+foo", "redis+cluster+x", "unix+cluster", "redis+"])
def test_another_scheme_is_refused_with_those_that_are_allowed(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=r"one of redis://.* redis\+cluster://") as refused:
        RedisBroker(f"{scheme}://ann:secret@h1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis+sentinel://a:b@s1,s2/shop/0?sentinel_password=c", "redis+sentinel://s1,s2/shop/0"),
        ("redis+sentinel://s1/shop?sentinel_password=a@secret", "redis+sentinel://"),
        ("redis+cluster://:x@h1,h2", "redis+cluster://h1,h2"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


class TestMap:
    A, B = Address("10.0.0.1", 6379), Address("203.0.113.5", 7001)

    def test_a_parameter_says_where_an_address_is_reached(self) -> None:
        translate = translation(None, "10.0.0.1:6379=203.0.113.5:7001,10.0.0.2:1=[::1]:2")
        assert translate(self.A) == self.B
        assert translate(Address("10.0.0.2", 1)) == Address("::1", 2)
        assert translate(Address("10.0.0.3", 1)) == Address("10.0.0.3", 1)

    def test_a_mapping_does(self) -> None:
        assert translation({self.A: self.B}, "")(self.A) == self.B

    def test_a_callable_does(self) -> None:
        translate = translation(lambda host, port: (f"{host}.example", port + 1), "")
        assert translate(self.A) == Address("10.0.0.1.example", 6380)

    @pytest.mark.parametrize("text", ["a", "a=b", "a:1=b", "a:1=b:x", "=", "a:1=b:2=c:3"])
    def test_another_text_is_refused(self, text: str) -> None:
        with pytest.raises(
            ConfigurationError, match="is not allowed in a broker URL: it should be"
        ):
            Broker.from_url(f"redis+cluster://h1?map={text}")

    def test_both_ways_at_once_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="use one"):
            RedisBroker("redis+cluster://h1?map=a:1=b:2", address_map={})

    def test_where_nobody_tells_addresses_it_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="address_map has no effect") as refused:
            RedisBroker("redis://ann:secret@h1", address_map={})
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize("wrong", [5, "10.0.0.1:6379=b:6380", [("a", 1)]])
    def test_what_is_no_mapping_is_refused(self, wrong: object) -> None:
        with pytest.raises(ConfigurationError, match=r"address_map=.* is not allowed: a mapping"):
            RedisBroker("redis+cluster://h1", address_map=wrong)  # type: ignore[arg-type]  # it is wrong

    def test_a_mapping_of_something_else_is_refused(self) -> None:
        wrong: object = {"10.0.0.1": "b"}
        with pytest.raises(
            ConfigurationError, match=r"an address should be like \('10.0.0.1', 6379"
        ):
            RedisBroker("redis+cluster://h1", address_map=wrong)  # type: ignore[arg-type]  # it is wrong


@pytest.mark.parametrize("url", ["redis+cluster://h1", "redis+sentinel://s1/shop"])
def test_a_client_of_one_server_is_refused_where_servers_are_looked_for(url: str) -> None:
    with pytest.raises(ConfigurationError, match="connect is not allowed"):
        RedisBroker(url, connect=lambda: Redis.from_url("redis://h1"))


@pytest.mark.parametrize("address", [Address("h", 1), Address("::1", 2)])
def test_an_address_reads_what_it_writes(address: Address) -> None:
    assert parse_address(str(address), 0) == address


@pytest.mark.parametrize("value", ["-1", "x", "101", "", "1.5"])
def test_another_number_of_replicas_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="replicas"):
        Broker.from_url(f"redis://localhost?replicas={value}")
