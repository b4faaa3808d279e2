"""Addresses of servers: as URLs name them, and as they are reached behind a NAT."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError

_PORTS = range(1, 65536)

AddressMap = Mapping[tuple[str, int], tuple[str, int]] | Callable[[str, int], tuple[str, int]]
"""Where a server is reached, by the host and port that it or a sentinel tells of it."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Translate = Callable[[Address], Address]
"""Where a server is reached whose address is known from another one."""


def parse_address(text: str, default_port: int) -> Address:
    """Read `host`, `host:port` or `[IPv6]:port`. Raises `ValueError`."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(text)
        port = rest[1:]
    elif ":" in text:
        host, _, port = text.partition(":")
    if not re.fullmatch("[0-9]*", port):  # `int` reads more than that
        raise ValueError(text)
    number = int(port) if port else default_port
    if not host or number not in _PORTS:
        raise ValueError(text)
    return Address(host, number)


def translation(given: AddressMap | None, parameter: str) -> Translate:
    """What `address_map` and the URL's parameter `map` say. Raises `ConfigurationError`."""
    if given is not None and parameter:
        raise ConfigurationError("address_map and map= in the broker URL are given: use one")
    if callable(given):
        return _called(given)
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(
            f"address_map={short_repr(given)} is not allowed: a mapping, or a callable that gets "
            "host and port"
        )
    known = _parsed(parameter) if given is None else dict(_checked(given.items()))
    return lambda address: known.get(address, address)


def _called(given: Callable[[str, int], tuple[str, int]]) -> Translate:
    def translate(address: Address) -> Address:
        return _address(given(*address))

    return translate


def _checked(
    pairs: Iterable[tuple[object, object]],
) -> Iterable[tuple[Address, Address]]:
    for told, reached in pairs:
        yield _address(told), _address(reached)


def _address(value: object) -> Address:
    match value:
        case (str(host), int(port)) if host and port in _PORTS:
            return Address(host, port)
    raise ConfigurationError(
        f"address_map has {short_repr(value)}: an address should be like ('10.0.0.1', 6379)"
    )


def _parsed(parameter: str) -> dict[Address, Address]:
    known: dict[Address, Address] = {}
    for pair in filter(None, parameter.split(",")):
        told, _, reached = pair.partition("=")
        try:
            known[parse_address(told, 0)] = parse_address(reached, 0)
        except ValueError:
            raise ConfigurationError(
                f"map={parameter!r} is not allowed in a broker URL: it should be like "
                "10.0.0.1:6379=203.0.113.5:7001, with commas between several"
            ) from None
    return known
