"""Aliases that name themselves, as `typing_extensions` writes them for every Python."""

import dataclasses
from datetime import date
from typing import Any, Union

import pytest
from typing_extensions import TypeAliasType, TypeVar

from ltq._codec.codec import Codec
from ltq.errors import ConfigurationError
from tests.codec.samples import arrive, make, refusal, taking, travel

T = TypeVar("T")

Json: Any = TypeAliasType("Json", Union[str, int, list["Json"], dict[str, "Json"], None])  # type: ignore[misc]  # noqa: UP007
Tree: Any = TypeAliasType("Tree", Union[T, list["Tree[T]"]], type_params=(T,))  # type: ignore[misc, arg-type]  # noqa: UP007
Even: Any = TypeAliasType("Even", "list[Odd] | None")
Odd: Any = TypeAliasType("Odd", "dict[str, Even] | date")
Plain = TypeAliasType("Plain", list[date])


@dataclasses.dataclass
class Doc:
    body: Json
    day: date = date.min


VALUE = {"a": [1, {"b": None}, "x"]}


class TestAliases:
    @pytest.mark.parametrize(
        ("hint", "value"),
        [
            (Json, VALUE),
            (Json | None, None),
            (list[Json], [VALUE, 1]),
            (Tree[date], [date.min, [[date.max]]]),
            (Even, [{"a": [date.min]}, date.max]),
            (Odd, {"a": [{"b": None}]}),
            (Plain, [date.min]),
            (Doc, Doc(VALUE)),
            (list[Doc], [Doc(1, date.max)]),
            (Json | date, date.min),
        ],
    )
    def test_a_value_arrives_as_it_was(self, codec: Codec, hint: Any, value: Any) -> None:
        assert arrive(taking(hint, codec), value) == value

    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (Json, 1.5, "Expected `Json`, got `float`"),
            (Json, {"a": [{"b": 1.5}]}, "Expected `Json`, got `float` - at `value.a[0].b`"),
            (Json, [date.min], "`datetime.date` would arrive as `str` - at `value[0]`"),
            (Tree[date], [date.min, [1]], "got `int` - at `value[1][0]`"),
            (Even, [{"a": [1]}], "Expected `Odd`, got `int` - at `value[0].a[0]`"),
            (Doc, Doc([{"a": 1.5}]), "Expected `Json`, got `float` - at `value.body[0].a`"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        assert text in refusal(taking(hint, codec), value)

    def test_of_all_kinds_of_parameters(self, codec: Codec) -> None:
        def fetch(*args: Json, **kwargs: Tree[date]) -> None: ...

        task = make(fetch, codec)
        assert travel(task, VALUE, 1, a=[date.min]) == ((VALUE, 1), {"a": [date.min]})
        assert "argument '*args[1]'" in refusal(task, 1, 1.5)
        assert "argument 'b'" in refusal(task, a=date.min, b=[1])

    def test_an_alias_for_nothing_is_refused(self) -> None:
        itself: Any = TypeAliasType("itself", "itself")
        with pytest.raises(ConfigurationError, match="`itself` stands for itself"):
            taking(itself)
