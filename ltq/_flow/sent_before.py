"""What there is of a workflow with this id: it may have been sent before, and perhaps halfway."""

from collections.abc import Collection, Iterable, Sequence

from ltq._flow.apart import carry_of
from ltq._flow.carry import carry
from ltq._flow.known import known_states
from ltq._flow.parts import Kind
from ltq._flow.plan import Plan, PlannedNode
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import MOST_AT_ONCE
from ltq._flow.values import LIST
from ltq.broker.flows import Ending, ending_key, waits_for_others
from ltq.codec import DEFAULT_SERIALIZER
from ltq.message import Envelope
from ltq.names import namespace_of
from ltq.state import Status, TaskState

_NO_TOKEN = -1
"""In place of a token: the ending that a store keeps of a task has another key."""


async def not_to_send(broker: FlowBroker, plan: Plan) -> Collection[str] | None:
    """The ids of the nodes that are not to be sent. None: the workflow is over, so nothing is."""
    is_ended = await _is_over(broker, plan)
    if is_ended is not False:
        return None if is_ended else ()
    gone = await _forgotten(broker, plan)
    is_ended = await _is_over(broker, plan)  # what was left may have been all that it waited for
    if is_ended is not False:
        return None if is_ended else ()
    return gone


async def _is_over(broker: FlowBroker, plan: Plan) -> bool | None:
    """Whether the workflow has ended. None: there is none with this id."""
    last = plan.last
    (state,) = await broker.states(last.part.queue, [last.id])
    if state is None or state.task_name != last.part.task_name:
        return None
    if state.status is Status.CANCELLED and plan.goes_on:
        known = await _known(broker, plan.nodes)
        return not any(waits_for_others(one) for one in known.values())
    return state.status.is_final


async def _forgotten(broker: FlowBroker, plan: Plan) -> Collection[str]:
    """The ids of the nodes of a workflow that have ended, and are not kept any more.

    They are known by what needs them: it has their results, or waits no longer. A node that was
    never sent, as its sender died halfway, is none of them.
    """
    known = await _known(broker, plan.nodes)
    # Whatever ended before that has left an ending, or has come where it is needed.
    await _carry_left(broker, plan)
    unknown = {node.id: node for node in plan.nodes if node.id not in known}
    told: set[str] = set()
    missed: set[str] = set()
    for user in plan.nodes:
        if user.id in known:
            for need in dict.fromkeys(user.parents):
                if need in unknown and need not in told:
                    has_result = await _has_result(broker, user, unknown[need])
                    (told if has_result else missed).add(need)
    return _with_others(told, missed, [*unknown.values()])


def _with_others(
    told: Collection[str], missed: Collection[str], unknown: Sequence[PlannedNode]
) -> Collection[str]:
    """These nodes that have ended, and those of the `unknown` ones that must have, too.

    What waits for others was sent before anything could run: if one of those has ended, it was
    there, and so it has ended as well. Sent again it would wait for ever. What only such nodes need
    is of no use. `missed` are those that others still wait for.
    """
    by_id = {node.id: node for node in unknown}
    beside: dict[str, set[str]] = {node.id: set() for node in unknown}
    for node in unknown:
        for need in by_id.keys() & node.parents:
            beside[need].add(node.id)
            if need not in missed:
                beside[node.id].add(need)
    found: set[str] = set()
    left = [*told]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += beside[one]
    return found


async def _carry_left(broker: FlowBroker, plan: Plan) -> None:
    """Carry on what nobody else has, so that it is known how nodes ended which are forgotten."""
    for queue in {namespace_of(node.part.queue): node.part.queue for node in plan.nodes}.values():
        own, _ = await carry_of(broker, queue, plan.last.id)
        if own:
            raise own[0].error


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


async def _known(broker: FlowBroker, nodes: Iterable[PlannedNode]) -> dict[str, TaskState[bytes]]:
    """The states of the nodes whose tasks there are, by id."""
    return await known_states(broker, ((node.part.queue, node.id) for node in nodes))
