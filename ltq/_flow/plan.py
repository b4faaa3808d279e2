"""From nodes to envelopes: the tasks of a workflow as they are sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from ltq._flow.config import NodeConfig
from ltq._flow.outline import Outline, OutlineNode, pack_outline
from ltq._flow.parts import Kind, Part, ordered
from ltq._flow.values import (
    FORMATS,
    LIST,
    Call,
    Destination,
    Flow,
    Join,
    Map,
    Recipe,
    TreeNode,
    ctx_with,
)
from ltq._sender.sent import Sent
from ltq.broker.flows import FLOW_KEYS, HELD
from ltq.errors import ConfigurationError
from ltq.message import Envelope
from ltq.names import check_tag_count

_SHORTEST = 60.0
"""Fewest seconds for which the state of a node is kept that is not the last: others may look."""


_splitters = {
    name: module.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
    for name, module in FORMATS.items()
}


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node with the id of its task."""

    part: Part
    id: str
    parents: tuple[str, ...]

    @property
    def in_tree(self) -> TreeNode:
        """As it is in the tree of the last one."""
        return TreeNode(self.id, self.part.queue, self.part.kind is Kind.MAP)


class Plan:
    """The nodes of a workflow with an id."""

    def __init__(self, last: Part, workflow_id: str, config: NodeConfig) -> None:
        parts = ordered(last)
        self._config = config
        ids = {id(part): f"{workflow_id}.n{number}" for number, part in enumerate(parts)}
        ids[id(last)] = workflow_id
        self.nodes: tuple[PlannedNode, ...] = tuple(
            PlannedNode(part, ids[id(part)], tuple(ids[id(need)] for need in part.needs))
            for part in parts
        )
        self.last = self.nodes[-1]
        self._destinations: dict[int, list[Destination]] = {}
        for node in self.nodes:
            for slot, need in enumerate(node.part.needs):
                self._destinations.setdefault(id(need), []).append(_destination(node, slot))

    @property
    def goes_on(self) -> bool:
        """Whether what does not need a node that failed goes on."""
        return self._config.goes_on

    @property
    def tree(self) -> tuple[TreeNode, ...]:
        """All nodes, the last one last."""
        return tuple(node.in_tree for node in self.nodes)

    @property
    def outline(self) -> Outline:
        """What is to be seen of it."""
        return Outline(
            self.last.id,
            tuple(
                OutlineNode(
                    node.id,
                    node.part.queue,
                    node.part.task_name,
                    node.parents,
                    is_map=node.part.kind is Kind.MAP,
                )
                for node in self.nodes
            ),
        )

    def envelopes(self, sent_of: Callable[[Part], Sent | None]) -> list[Envelope]:
        """The envelopes of the nodes, in their order. Raises what `send` raises."""
        return [self._envelope(node, sent_of(node.part)) for node in self.nodes]

    def _envelope(self, node: PlannedNode, sent: Sent | None) -> Envelope:
        part = node.part
        flow = Flow(
            queue=self.last.part.queue,
            end=self.last.id,
            to=tuple(self._destinations.get(id(part), ())),
            goes_on=self.goes_on,
        )
        own = part.home.envelopes.of_node(
            part.args,
            part.kwargs or {},
            part.home.task,
            task_id=node.id,
            body=part.body,
            place=self._place(node, flow) if len(self.nodes) > 1 else None,
            runs=part.kind is not Kind.JOIN,
            sent=sent,
        )
        changes = self._changes(node, own)
        if part.is_held:
            _check_times(own)
            changes |= {"eta": HELD, "body": self._recipe(node, replace(own, **changes))}
        if part.kind is Kind.JOIN:
            changes |= {"task_name": part.task_name, "lane": part.queue}
        envelope = replace(own, **changes)
        if sent is not None:
            sent.replace(own, envelope)
        return envelope

    def _place(self, node: PlannedNode, flow: Flow) -> Callable[[bytes], bytes]:
        """What puts a node's place in the workflow into its `ctx`."""
        outline = pack_outline(self.outline) if node is self.last else b""
        return lambda ctx: ctx_with(ctx, flow, outline)

    def _changes(self, node: PlannedNode, own: Envelope) -> dict[str, object]:
        ttl = self._config.result_ttl if own.result_ttl is None else own.result_ttl
        ttl = node.part.result_ttl if ttl is None else ttl
        return {
            "tags": check_tag_count(tuple(dict.fromkeys(own.tags + self._config.tags))),
            "result_ttl": ttl if node is self.last else max(ttl, _SHORTEST),
        }

    def _recipe(self, node: PlannedNode, envelope: Envelope) -> bytes:
        part = node.part
        tree = self.tree if node is self.last else ()
        recipe: Recipe = Join(tree=tree)
        if part.kind is not Kind.JOIN:
            args, kwargs = _splitters[part.serializer](part.body)
            recipe = Call(args=args, kwargs=kwargs, tree=tree)
            if part.kind is Kind.MAP:
                recipe = _map(envelope, recipe)
        encoded: bytes = FORMATS[part.serializer].encode(recipe)
        return encoded


def _map(envelope: Envelope, call: Call) -> Map:
    return Map(
        queue=envelope.queue,
        lane=envelope.lane,
        task_name=envelope.task_name,
        ctx=_without_flow(envelope.ctx),
        priority=envelope.priority,
        timeout=envelope.timeout,
        max_tries=envelope.max_tries,
        result_ttl=max(envelope.result_ttl or 0.0, _SHORTEST),
        tags=envelope.tags,
        keep_body=envelope.keep_body,
        args=call.args,
        kwargs=call.kwargs,
        tree=call.tree,
    )


def _without_flow(ctx: bytes) -> str:
    from_hooks = msgspec.json.decode(ctx or b"{}", type=dict[str, msgspec.Raw])
    kept = {key: value for key, value in from_hooks.items() if key not in FLOW_KEYS}
    return msgspec.json.encode(kept).decode()


def _destination(node: PlannedNode, slot: int) -> Destination:
    kind, count = node.part.kind, len(node.part.needs)
    slot = LIST if kind is Kind.MAP else slot
    return Destination(node.part.queue, node.id, slot, count)


def _check_times(envelope: Envelope) -> None:
    if envelope.delay or envelope.eta is not None:
        raise ConfigurationError(
            f"{envelope.task_name}: delay and eta are for nodes that need no other: this one runs "
            "when the results are there"
        )


def order_of_sending(
    nodes: Sequence[PlannedNode], envelopes: Sequence[Envelope]
) -> tuple[list[Envelope], list[Envelope]]:
    """Those that wait for others, the last node first, and those that begin."""
    pairs = [*zip(nodes, envelopes, strict=True)]
    held = [envelope for node, envelope in reversed(pairs) if node.part.is_held]
    return held, [envelope for node, envelope in pairs if not node.part.is_held]
