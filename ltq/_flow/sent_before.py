"""What there is of a workflow with this id: it may have been sent before, and perhaps halfway."""

from collections.abc import Collection, Iterable, Sequence

from ltq._flow.carry import carry
from ltq._flow.parts import Kind
from ltq._flow.plan import Plan, PlannedNode
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import MOST_AT_ONCE
from ltq._flow.values import LIST
from ltq.broker.flows import Ending, ending_key
from ltq.codec import DEFAULT_SERIALIZER
from ltq.message import Envelope
from ltq.state import TaskState

_NO_TOKEN = -1
"""In place of a token: the ending that a store keeps of a task has another key."""


async def is_over(broker: FlowBroker, plan: Plan) -> bool | None:
    """Whether the workflow has ended. None: there is none with this id."""
    last = plan.last
    (state,) = await broker.states(last.part.queue, [last.id])
    if state is None or state.task_name != last.part.task_name:
        return None
    return state.status.is_final


async def forgotten(broker: FlowBroker, plan: Plan) -> Collection[str]:
    """The ids of the nodes of a workflow that have ended, and are not kept any more.

    They are known by what needs them: it has their results, or waits no longer. A node that was
    never sent, as its sender died halfway, is none of them.
    """
    known = await _known(broker, plan.nodes)
    by_need: dict[str, list[PlannedNode]] = {}
    for node in plan.nodes:
        for need in dict.fromkeys(node.parents):
            by_need.setdefault(need, []).append(node)
    found: set[str] = set()
    for node in reversed(plan.nodes):
        if node.id in known:
            continue
        for user in by_need.get(node.id, ()):
            if user.id in found or (user.id in known and await _has_result(broker, user, node)):
                found.add(node.id)
                break
    return found


async def carry_again(broker: FlowBroker, envelopes: Iterable[Envelope]) -> None:
    """Carry on from those of these nodes that have ended: what needs them may have been sent now.

    That is so if it was cleared, or was forgotten before them.
    """
    by_queue: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        by_queue.setdefault(envelope.queue, []).append(envelope)
    for queue, some in by_queue.items():
        for first in range(0, len(some), MOST_AT_ONCE):
            part = some[first : first + MOST_AT_ONCE]
            states = await broker.states(queue, [one.id for one in part])
            pairs = zip(part, states, strict=True)
            ended = [(one, state) for one, state in pairs if state and state.status.is_final]
            await carry(broker, [_ending(one, state) for one, state in ended])


def _ending(envelope: Envelope, state: TaskState[bytes]) -> Ending:
    return Ending(
        key=ending_key(envelope.id, _NO_TOKEN),
        id=envelope.id,
        queue=envelope.queue,
        status=state.status,
        ctx=envelope.ctx,
        result=state.result or b"",
        serializer=state.serializer or DEFAULT_SERIALIZER,
    )


async def _has_result(broker: FlowBroker, user: PlannedNode, node: PlannedNode) -> bool:
    """Whether the result of a node has come where it is needed."""
    slot = LIST if user.part.kind is Kind.MAP else user.parents.index(node.id)
    task = await broker.held(user.part.queue, user.id, [slot])
    return task is None or slot in task.slots


async def _known(broker: FlowBroker, nodes: Iterable[PlannedNode]) -> set[str]:
    """The ids of the nodes whose tasks there are."""
    by_queue: dict[str, list[str]] = {}
    for node in nodes:
        by_queue.setdefault(node.part.queue, []).append(node.id)
    found: set[str] = set()
    for queue, ids in by_queue.items():
        for first in range(0, len(ids), MOST_AT_ONCE):
            some = ids[first : first + MOST_AT_ONCE]
            states: Sequence[TaskState[bytes] | None] = await broker.states(queue, some)
            found |= {state.id for state in states if state is not None}
    return found
