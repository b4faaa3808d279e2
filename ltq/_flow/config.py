"""The checked options of a workflow."""

import msgspec


class NodeConfig(msgspec.Struct, frozen=True):
    """The checked options of a node. Durations are seconds."""

    id: str | None = None
    goes_on: bool = False
    """Whether the rest goes on if a node fails."""
    tags: tuple[str, ...] = ()
    result_ttl: float | None = None
