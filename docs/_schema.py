"""Writes `docs/rabbitmq.schema.json` from the types of messages: `python -m docs._schema`.

A test compares the file with what this makes, so it cannot go stale.
"""

import json
from pathlib import Path

import msgspec

from ltq.brokers.rabbitmq._intake.door import Call
from ltq.brokers.rabbitmq._telling.events import Event

FILE = Path(__file__).parent / "rabbitmq.schema.json"


def schema() -> str:
    """The file: a message is a `Call`; what is told is an `Event`."""
    _, definitions = msgspec.json.schema_components([Call, Event], ref_template="#/$defs/{name}")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://github.com/ltq-queue/ltq/blob/main/docs/rabbitmq.schema.json",
        "$ref": "#/$defs/Call",
        "$defs": definitions,
    }
    return json.dumps(whole, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema(), "utf-8")
