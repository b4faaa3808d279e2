"""The options of a node."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from msgspec.structs import replace
from typing_extensions import TypedDict

from ltq._display.values import short_repr
from ltq._flow.config import NodeConfig
from ltq.errors import ConfigurationError
from ltq.names import check_name, check_tags
from ltq.options import seconds

OnFailure = Literal["cancel", "continue"]
"""What becomes of the rest of a workflow if a node fails."""

LONGEST_ID = 180
"""Most characters of a workflow's id: it is part of the ids of its nodes."""


class NodeOptions(TypedDict, total=False, closed=True):
    """Options of `node.with_options(...)`. They count where the node is sent, for all its tree."""

    id: str
    """The id of the workflow. If there is one with it already, nothing is sent."""
    on_failure: OnFailure
    """If a node fails: "cancel" the whole rest (the default), or only what needs it: "continue"."""
    tags: tuple[str, ...] | list[str]
    """Short texts to find its tasks by, in addition to those that they declare."""
    result_ttl: timedelta | float
    """How long the final states of its tasks are kept, in seconds."""


def _changed(config: NodeConfig, options: Mapping[str, Any]) -> NodeConfig:
    """The same options with others on top. Raises `ConfigurationError`."""
    unknown = options.keys() - NodeOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(sorted(NodeOptions.__annotations__))
        raise ConfigurationError(
            f"a node has no option {', '.join(sorted(unknown))}: it has {known}"
        )
    changes: dict[str, Any] = {}
    if "id" in options:
        changes["id"] = check_name("task id", options["id"], longest=LONGEST_ID)
    if "on_failure" in options:
        policy = options["on_failure"]
        if policy not in ("cancel", "continue"):
            raise ConfigurationError(
                f'on_failure={short_repr(policy)} is not allowed: "cancel" or "continue"'
            )
        changes["goes_on"] = policy == "continue"
    if "tags" in options:
        changes["tags"] = check_tags(options["tags"])
    if "result_ttl" in options:
        changes["result_ttl"] = seconds("result_ttl", options["result_ttl"], zero=True)
    return replace(config, **changes)
