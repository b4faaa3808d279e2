"""Broker URLs of Redis: a parameter has an effect, or is refused by its name."""

import inspect

import pytest
import redis
from redis.asyncio.connection import (
    URL_QUERY_ARGUMENT_PARSERS,
    AbstractConnection,
    Connection,
    SSLConnection,
)

from ltq import Broker, BrokerError, ConfigurationError
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._server.url import new_client, split_url

HONOURED = {
    "db": "3",
    "username": "a",
    "password": "b",
    "client_name": "web",
    "socket_connect_timeout": "0.5",
    "socket_keepalive": "False",
    "ssl_keyfile": "/k",
    "ssl_certfile": "/c",
    "ssl_password": "p",
    "ssl_cert_reqs": "none",
    "ssl_ca_certs": "/c",
    "ssl_ca_data": "d",
    "ssl_ca_path": "/c",
    "ssl_check_hostname": "False",
    "ssl_min_version": "771",
    "ssl_ciphers": "ALL",
    "ssl_include_verify_flags": "VERIFY_X509_STRICT",
    "ssl_exclude_verify_flags": "VERIFY_X509_STRICT",
}

KNOWN_TO_REDIS_PY = {
    *URL_QUERY_ARGUMENT_PARSERS,
    *(
        name
        for kind in (AbstractConnection, Connection, SSLConnection)
        for name in inspect.signature(kind).parameters
    ),
}


@pytest.mark.parametrize("name", sorted(KNOWN_TO_REDIS_PY - HONOURED.keys()))
def test_what_would_have_no_effect_is_refused_by_name(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"cannot be read: LTQ has no use for the parameter '{name}'"
    ):
        Broker.from_url(f"rediss://localhost?{name}=1")


@pytest.mark.parametrize("name", HONOURED)
def test_the_others_are_taken(name: str) -> None:
    Broker.from_url(f"rediss://localhost?{name}={HONOURED[name]}")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://localhost?ssl_ca_certs=/c", "ssl_ca_certs"),
        ("unix:///tmp/redis.sock?ssl_ca_certs=/c", "ssl_ca_certs"),
        ("unix:///tmp/redis.sock?socket_keepalive=1", "socket_keepalive"),
    ],
)
def test_what_belongs_to_another_way_to_connect_is_refused(url: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no use for the parameter '{name}'"):
        Broker.from_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://localhost?socket_connect_timeout=30", "more than 0 and at most 3"),
        ("redis://localhost?socket_connect_timeout=0", "more than 0 and at most 3"),
        ("redis://localhost?socket_connect_timeout=nan", "more than 0 and at most 3"),
        ("redis://localhost?socket_connect_timeout=soon", "socket_connect_timeout='soon' is not"),
        ("redis://localhost?socket_keepalive=maybe", "socket_keepalive='maybe' .*: true or false"),
        ("redis://localhost?db=one", "db='one' is not allowed: the number of a database"),
        ("redis://localhost?client_name=my%20shop", "client_name='my shop' .*without spaces"),
        ("rediss://localhost?ssl_cert_reqs=maybe", "ssl_cert_reqs='maybe' .*: none, optional or"),
        ("rediss://localhost?ssl_min_version=TLS1.3", "ssl_min_version='TLS1.3' .*: 771"),
        ("rediss://localhost?ssl_check_hostname=on%20off", "ssl_check_hostname='on off'"),
        ("rediss://localhost?ssl_include_verify_flags=STRICT", "ssl_include_verify_flags='STRICT'"),
        ("redis://localhost?client_name=", "'client_name' has no value"),
        ("redis://localhost?notifications=", "notifications='' is not allowed"),
        ("redis://localhost?busy_poll=", "busy_poll"),
        ("redis://localhost/1?db=2", "two databases"),
        ("redis://localhost/one", "the number of a database"),
        ("redis://localhost/0#1", "should be like"),
    ],
)
def test_a_wrong_value_is_told(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Broker.from_url(url)


@pytest.mark.parametrize(
    "url", ["redis://:se?cret@host", "redis://:se#cret@host", "redis://:se?a=cret@h"]
)
def test_a_password_is_not_shown_as_a_parameter(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Broker.from_url(url)
    assert "cret" not in str(refused.value)


async def test_a_host_that_is_left_out_is_named_in_errors() -> None:
    async with RedisBroker("rediss:///0?ssl_ca_certs=/missing") as broker:
        with pytest.raises(BrokerError, match=r"^Redis at localhost/0 cannot be called"):
            await broker.ping()


def test_the_time_to_connect_is_that_of_the_url() -> None:
    server_url = split_url("redis://localhost?socket_connect_timeout=0.5", check=True).location.url
    connection = new_client(server_url).connection_pool.make_connection()
    assert connection.socket_connect_timeout == 0.5


async def test_the_name_of_the_client_is_seen_by_the_server(redis_url: str) -> None:
    async with RedisBroker(f"{redis_url}?client_name=shop") as broker:
        await broker.ping()
        with redis.Redis.from_url(redis_url) as raw:
            assert "shop" in {client["name"] for client in raw.client_list()}
