"""The schema file says what messages may be: no more and no less than what the code reads."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from docs._schema import FILE, schema
from ltq.brokers.rabbitmq._intake import door
from ltq.brokers.rabbitmq._telling.events import Event

PAGE = Path(__file__).parents[3] / "docs" / "rabbitmq.md"
WHOLE = json.loads(FILE.read_text("utf-8"))

RIGHT: list[dict[str, Any]] = [
    {"task": "shop:checkout"},
    {"task": "shop:checkout", "args": [7, {"a": None}], "kwargs": {"b": [1]}, "id": "order-7"},
    {"task": "a", "delay": 0.5, "priority": "low", "queue": "shop:all", "id": None},
]
WRONG: list[Any] = [
    [],
    {},
    {"task": 7},
    {"task": "no name"},
    {"task": "a", "args": {}},
    {"task": "a", "kwargs": []},
    {"task": "a", "id": "x" * 201},
    {"task": "a", "delay": -1},
    {"task": "a", "delay": 1e12},
    {"task": "a", "delay": "1"},
    {"task": "a", "priority": "urgent"},
    {"task": "a", "colour": "red"},
]


def valid(value: object, name: str) -> bool:
    return jsonschema.Draft202012Validator({**WHOLE, "$ref": f"#/$defs/{name}"}).is_valid(value)


def reads(value: object) -> bool:
    try:
        door.read(json.dumps(value).encode(), None)
    except ValueError:
        return False
    return True


def test_the_file_is_made_from_the_code() -> None:
    assert FILE.read_text("utf-8") == schema(), "run: python -m docs._schema"


@pytest.mark.parametrize("value", RIGHT, ids=str)
def test_what_it_allows_is_read(value: object) -> None:
    assert (valid(value, "Call"), reads(value)) == (True, True)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: str(value)[:40])
def test_what_it_forbids_is_not(value: object) -> None:
    assert (valid(value, "Call"), reads(value)) == (False, False)


def test_the_examples_of_the_page_are_what_it_says() -> None:
    call, event = re.findall(r"(?ms)^```json\n(.*?)^```", PAGE.read_text("utf-8"))
    assert valid(json.loads(call), "Call")
    assert valid(json.loads(event), "Event")
    assert json.loads(event).keys() == {*Event.__struct_fields__}
