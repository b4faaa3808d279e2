"""What travels with the tasks of a workflow.

Each has a `Flow` in its `ctx`: where its result goes. A task that waits for others has a recipe
instead of arguments: how they are made of what arrives.
"""

from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from ltq.broker.flows import FLOW_KEY, OUTLINE_KEY, with_flow
from ltq.message import Envelope, Waiter
from ltq.names import namespace_of
from ltq.options import Priority

LIST = -1
"""The slot of a map in which its list arrives: then there is an element for each item."""


class Destination(msgspec.Struct, frozen=True, array_like=True):
    """Where a result goes: into a slot of a task that waits, which has `of` of them."""

    queue: str
    id: str
    slot: int
    of: int


class Flow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task knows of its workflow."""

    queue: str
    """The queue of the last node."""
    end: str
    """The id of the last node."""
    to: tuple[Destination, ...] = ()
    goes_on: bool = False
    """Whether the rest goes on if this fails. What needs it does not."""


class _Ctx(msgspec.Struct):
    flow: Flow = msgspec.field(name=FLOW_KEY)


_LONGEST_KEPT = 4096
"""Most bytes of a `ctx` that is remembered. That of the last node of many tells them all."""

_decode_ctx = msgspec.json.Decoder(_Ctx).decode


def flow_of(ctx: bytes) -> Flow | None:
    """What a `ctx` says of a workflow; None if that cannot be read."""
    return _read_flow(ctx) if len(ctx) > _LONGEST_KEPT else _kept_flow(ctx)


def _read_flow(ctx: bytes) -> Flow | None:
    try:
        return _decode_ctx(ctx).flow
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_kept_flow = lru_cache(maxsize=1024)(_read_flow)  # all elements of a map have the same


def waiter_of(queue: str, ctx: bytes) -> Waiter | None:
    """What waits for the result of a task: see `Finish.waiter`."""
    return None if len(ctx) > _LONGEST_KEPT else _kept_waiter(queue, ctx)


@lru_cache(maxsize=1024)
def _kept_waiter(queue: str, ctx: bytes) -> Waiter | None:
    flow = flow_of(ctx)
    if flow is None or len(flow.to) != 1:
        return None
    (destination,) = flow.to
    is_near = namespace_of(destination.queue) == namespace_of(queue)
    if not is_near or destination.slot == LIST:
        return None
    return Waiter(destination.id, destination.slot, destination.of)


def ctx_with(ctx: bytes, flow: Flow, outline: bytes = b"") -> bytes:
    """An encoded `ctx`, perhaps empty, with what a task knows of its workflow.

    The last node knows the `outline` of it, encoded.
    """
    own = {FLOW_KEY: msgspec.json.encode(flow)}
    return with_flow(ctx, own | {OUTLINE_KEY: outline} if outline else own)


class TreeNode(msgspec.Struct, frozen=True, array_like=True):
    """A node of a workflow. The elements of a map are `id.0`, `id.1` and so on."""

    id: str
    queue: str
    is_map: bool = False


class Call(msgspec.Struct, frozen=True, tag_field="flow", tag="call", omit_defaults=True):
    """A call whose first argument is what arrives."""

    args: list[msgspec.Raw] = []
    """The other arguments."""
    kwargs: dict[str, msgspec.Raw] = {}
    tree: tuple[TreeNode, ...] = ()
    """All nodes, in the recipe of the last one; itself last."""


class Join(msgspec.Struct, frozen=True, tag_field="flow", tag="join", omit_defaults=True):
    """No call: its result is all that arrives."""

    tree: tuple[TreeNode, ...] = ()


class Map(msgspec.Struct, frozen=True, tag_field="flow", tag="map", omit_defaults=True):
    """A call for each item of the list that arrives. Its result is the list of their results."""

    queue: str
    lane: str
    task_name: str
    ctx: str
    """Without its place in the workflow."""
    priority: Priority = Priority.NORMAL
    timeout: float | None = None
    max_tries: int | None = None
    result_ttl: float | None = None
    tags: tuple[str, ...] = ()
    keep_body: bool | None = None
    args: list[msgspec.Raw] = []
    kwargs: dict[str, msgspec.Raw] = {}
    tree: tuple[TreeNode, ...] = ()

    def element(self, task_id: str, body: bytes, ctx: bytes, serializer: str) -> Envelope:
        """The envelope of one element."""
        return Envelope(
            id=task_id,
            queue=self.queue,
            lane=self.lane,
            task_name=self.task_name,
            body=body,
            serializer=serializer,
            priority=self.priority,
            timeout=self.timeout,
            max_tries=self.max_tries,
            result_ttl=self.result_ttl,
            max_deliveries=None,
            has_new_id=True,
            tags=self.tags,
            keep_body=self.keep_body,
            ctx=ctx,
        )


Recipe: TypeAlias = Call | Join | Map

FORMATS: dict[str, Any] = {"json": msgspec.json, "msgpack": msgspec.msgpack}
"""What the results of workflows may be encoded with: others cannot be put together as bytes."""

_recipes = {name: module.Decoder(Recipe).decode for name, module in FORMATS.items()}


def read_recipe(body: bytes, serializer: str) -> Recipe | None:
    """The recipe of a task that waits; None if its body is that of a call."""
    decode = _recipes.get(serializer)
    if decode is None:
        return None
    try:
        recipe: Recipe = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return recipe


def element_id(node_id: str, index: int) -> str:
    """The id of an element of a map."""
    return f"{node_id}.{index}"
