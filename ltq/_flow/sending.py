"""Sending all tasks of a workflow."""

from collections.abc import Collection, Sequence

from ltq._flow.parts import Kind, NodeTask, Part
from ltq._flow.plan import Plan, order_of_sending
from ltq._flow.sent_before import carry_again, not_to_send
from ltq._sender.guards import guards
from ltq._sender.publish import id_conflict
from ltq._sender.sent import Sent
from ltq.broker import Broker
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Published
from ltq.names import namespace_of
from ltq.options import DEFAULT_RESULT_TTL

_MOST_AT_ONCE = 500
"""Most tasks of one call."""

_EXISTS = Published.EXISTS


async def send(plan: Plan, *, has_own_id: bool) -> None:
    """Send the tasks of a workflow, those that wait for others first. Raises what `send` raises."""
    broker = _broker_of(plan)
    gone = await not_to_send(broker, plan) if has_own_id else ()
    if gone is None:
        return
    sent: dict[int, Sent] = {}
    envelopes = plan.envelopes(lambda part: _sent_of(part, sent))
    try:
        answers = await _publish(broker, plan, envelopes, sent, gone)
    except BaseException as error:
        for one in sent.values():
            one.fail(error)
        raise
    if has_own_id:
        await carry_again(broker, [one for one in envelopes if answers[one.id] is _EXISTS])


def _sent_of(part: Part, known: dict[int, Sent]) -> Sent | None:
    if part.kind is Kind.JOIN:
        return None
    sent = part.home.envelopes.watch()
    if sent is not None:
        known[id(part)] = sent
    return sent


async def _publish(
    broker: Broker,
    plan: Plan,
    envelopes: Sequence[Envelope],
    sent: dict[int, Sent],
    gone: Collection[str],
) -> dict[str, Published]:
    answers = dict.fromkeys(gone, _EXISTS)
    parts = order_of_sending(plan.nodes, envelopes)
    held, roots = ([one for one in part if one.id not in answers] for part in parts)
    # What is there before its results come misses none. In one namespace that is one call. In
    # several the last node comes before all others: whoever looks for what was cut finds it.
    is_one_call = len({namespace_of(one.queue) for one in envelopes}) == 1
    calls = [[*held, *roots]] if is_one_call else [held[:1], held[1:], roots]
    for call in calls:
        for first in range(0, len(call), _MOST_AT_ONCE):
            some = call[first : first + _MOST_AT_ONCE]
            found = await broker.publish(some)
            answers |= {one.id: answer for one, answer in zip(some, found, strict=True)}
            if Published.ID_CONFLICT in found:
                await _take_back(broker, envelopes, answers)
                taken = some[found.index(Published.ID_CONFLICT)]
                raise id_conflict(taken)
    for node, envelope in zip(plan.nodes, envelopes, strict=True):
        answer = answers[envelope.id]
        if (one := sent.get(id(node.part))) is not None:
            one.answered([envelope], [answer])
        if node.part.task is not None and node.part.task.events.is_heard:
            node.part.task.events.enqueued([envelope], [answer])
    return answers


async def _take_back(
    broker: Broker, envelopes: Sequence[Envelope], answers: dict[str, Published]
) -> None:
    """Cancel what was sent before it was known that the rest cannot be."""
    for one in envelopes:
        if answers.get(one.id) is Published.CREATED:
            await broker.cancel_each(one.queue, [one.id], DEFAULT_RESULT_TTL)


def _broker_of(plan: Plan) -> Broker:
    """The broker of all nodes. Raises `ConfigurationError` if there are several."""
    tasks: list[NodeTask] = [node.part.home for node in plan.nodes]
    for task in tasks:
        for guard in guards:
            guard(task.name, task.source)
    brokers = {task.source.broker.url: task for task in reversed(tasks)}
    if len(brokers) > 1:
        (one, first), (other, second), *_ = brokers.items()
        raise ConfigurationError(
            f"a workflow has one broker: {first.name} is on {one}, {second.name} on {other}"
        )
    return tasks[-1].source.broker
