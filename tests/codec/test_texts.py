"""Values that travel as their text: paths, addresses, fractions, time zones."""

import dataclasses
from contextlib import suppress
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest

from ltq._codec.codec import Codec
from ltq.errors import InvalidArgumentsError
from tests.codec.samples import arrive, make, refusal, taking


class OwnPath(type(PurePosixPath())):  # type: ignore[misc]
    """A path of a user, on Python 3.11 too."""


class OwnFraction(Fraction): ...


class OwnAddress(IPv4Address): ...


class Loud(PurePosixPath):
    def __str__(self) -> str:
        return "loud"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = PurePosixPath.__hash__


@dataclasses.dataclass
class Files:
    path: Path
    more: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    path: Path | None


class Record(msgspec.Struct):
    path: Path
    address: IPv4Address | None = None


class Model(pydantic.BaseModel):
    path: Path
    part: Fraction = Fraction(1, 3)
    net: IPv4Network = IPv4Network("10.0.0.0/8")


@attrs.define
class Made:
    path: Path


class Keys(TypedDict):
    path: Path


class Row(NamedTuple):
    path: Path
    zone: ZoneInfo


def used(value: Any) -> Any:
    """A value that keeps in itself whatever it keeps once it was asked for."""
    for name in dir(value):
        with suppress(ValueError):  # the long form of an address with a scope
            getattr(value, name, None)
    assert str(value)
    assert hash(value) == hash(value)
    return value


PATH = used(Path("a/b.c"))
ZONE = ZoneInfo.no_cache("Europe/Berlin")

ARRIVE: list[tuple[Any, Any]] = [
    (Path, PATH),
    (list[Path], [PATH, PATH.parent]),
    (set[Path], {PATH}),
    (frozenset[PurePosixPath], frozenset([PurePosixPath("a")])),
    (tuple[Path, IPv4Network], (PATH, used(ip_network("10.0.0.0/8")))),
    (dict[str, Path], {"a": PATH}),
    (dict[Path, int], {PATH: 1}),
    (dict[Path, dict[Path, list[Path]]], {PATH: {PATH: [PATH]}}),
    (dict[Fraction, int], {Fraction(1, 3): 1}),
    (dict[IPv4Address | IPv6Address, str], {ip_address("1.1.1.1"): "a", ip_address("::"): "b"}),
    (dict[Path, int] | None, {PATH: 1}),
    (Path | None, PATH),
    (Files, Files(PATH)),
    (list[Files | None], [Files(PATH), None]),
    (Slotted, Slotted(PATH)),
    (Record, Record(PATH, IPv4Address("1.2.3.4"))),
    (Model, Model(path=PATH)),
    (Files | Model, Model(path=PATH)),
    (Made, Made(PATH)),
    (Keys, {"path": PATH}),
    (IPv6Network, used(ip_network("::/64"))),
    (IPv4Interface, used(ip_interface("10.0.0.1/24"))),
    (IPv6Interface, used(ip_interface("fe80::1/64"))),
    (IPv6Address, used(ip_address("fe80::1%eth0"))),
    (OwnPath, used(OwnPath("a"))),
    (Fraction, Fraction(-3)),
]

AS_BASE: list[tuple[Any, Any, Any]] = [
    (PurePosixPath, OwnPath("a"), PurePosixPath("a")),
    (PurePath, Path("a"), PurePath("a")),
    (Path, type("Sub", (type(Path()),), {})("a"), Path("a")),
    (PurePosixPath, Loud("a"), PurePosixPath("a")),
    (list[PurePosixPath], [OwnPath("a")], [PurePosixPath("a")]),
    (dict[PurePosixPath, int], {OwnPath("a"): 1}, {PurePosixPath("a"): 1}),
    (Fraction, OwnFraction(1, 2), Fraction(1, 2)),
    (IPv4Address | None, OwnAddress("1.1.1.1"), ip_address("1.1.1.1")),
    (Files, Files(type("Sub", (type(Path()),), {})("a")), Files(Path("a"))),
]


class TestTexts:
    @pytest.mark.parametrize(("hint", "value"), ARRIVE, ids=[str(hint) for hint, _ in ARRIVE])
    def test_a_value_arrives_as_it_was(self, codec: Codec, hint: Any, value: Any) -> None:
        got = arrive(taking(hint, codec), value)
        assert got == value
        assert type(got) is type(value)

    @pytest.mark.parametrize(("hint", "value"), ARRIVE, ids=[str(hint) for hint, _ in ARRIVE])
    def test_a_call_has_one_fingerprint(self, codec: Codec, hint: Any, value: Any) -> None:
        def fetch(value: Any = value) -> None: ...

        fetch.__annotations__["value"] = hint
        task = make(fetch, codec)
        calls = (task.encode_call((value,), {}), task.encode_call((), {"value": value}))
        found = {task.fingerprint(call) for call in calls}
        assert found == {task.fingerprint(task.encode_call((), {}))}

    def test_other_texts_have_other_fingerprints(self, codec: Codec) -> None:
        for hint, one, other in (
            (Path, Path("a"), Path("b")),
            (IPv6Address, ip_address("::1"), ip_address("::1%a")),
            (IPv4Interface, ip_interface("1.1.1.1/8"), ip_interface("1.1.1.1/9")),
            (dict[Path, int], {Path("a"): 1}, {Path("b"): 1}),
        ):
            task = taking(hint, codec)
            calls = [task.encode_call((value,), {}) for value in (one, other)]
            assert len({task.fingerprint(call) for call in calls}) == 2

    @pytest.mark.parametrize("zone", [ZONE, ZoneInfo("Europe/Berlin")])
    def test_a_zone_is_its_key(self, codec: Codec, zone: ZoneInfo) -> None:
        assert arrive(taking(ZoneInfo, codec), zone) is ZoneInfo(zone.key)
        assert arrive(taking(Row, codec), Row(PATH, zone)) == Row(PATH, ZoneInfo(zone.key))
        assert arrive(taking(dict[ZoneInfo, int], codec), {zone: 1}) == {ZoneInfo(zone.key): 1}

    @pytest.mark.parametrize(("hint", "value", "base"), AS_BASE, ids=[str(one) for one in AS_BASE])
    def test_a_subclass_travels_as_the_annotated_base(
        self, codec: Codec, hint: Any, value: Any, base: Any
    ) -> None:
        def returns() -> Any: ...

        returns.__annotations__["return"] = hint
        result = make(returns, codec)
        for got in (
            arrive(taking(hint, codec), value),
            result.decode_result(result.encode_result(value)),
        ):
            assert repr(got) == repr(base)
            assert type(got) is type(base)

    @pytest.mark.parametrize(
        ("hint", "value"),
        [
            (PurePath, PureWindowsPath("a\\b") if PurePath("\\").parts else PurePosixPath("a\\b")),
            (Path, PurePosixPath("a")),
            (IPv4Address, IPv4Interface("1.1.1.1/24")),
            (Fraction, 1),
            (dict[Path, int], {"a": 1}),
            (Files, Files("a")),  # type: ignore[arg-type]
            (Any, PATH),
        ],
    )
    def test_another_is_refused(self, codec: Codec, hint: Any, value: Any) -> None:
        assert "argument 'value': " in refusal(taking(hint, codec), value)

    def test_what_an_own_class_adds_is_compared(self, codec: Codec) -> None:
        value = OwnPath("a")
        value.note = "x"
        assert "at `value.note`" in refusal(taking(OwnPath, codec), value)

    def test_keys_are_read(self, codec: Codec) -> None:
        keyed = taking(dict[Path, int], codec)
        assert keyed.read_call([{"a": 1}], {}) == (({Path("a"): 1},), {})
        with pytest.raises(InvalidArgumentsError, match="got `list`"):
            keyed.read_call([[1]], {})
