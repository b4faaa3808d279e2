"""The checks of what AMQP and the management API tell. They send nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ltq.broker import Finding, Severity
from ltq.brokers.rabbitmq._doctor.answers import Deprecated, Node, Queue
from ltq.brokers.rabbitmq._intake.pump import ROOM
from ltq.brokers.rabbitmq._server.topology import MOST_DELIVERIES

_BACKLOG = 10_000
"""Messages that wait in a queue which consumers read: more than they take at once by far."""

_MOST_NAMED = 5
"""Most queues that one finding names."""

_COPIES = 3
"""Nodes that should have a copy of each queue, where there are so many."""

_FEWEST_NODES = 2
"""Nodes from which on a queue may have more than one copy."""

_REFUSES = ("reject-publish", "reject-publish-dlx")
"""What `overflow` is where a full queue takes nothing more, and drops nothing."""

_REMOVALS = {
    "message-ttl": "RabbitMQ takes tasks out of them that have waited for so long",
    "expires": "RabbitMQ deletes those that nobody uses for so long, with their tasks",
    "max-length": "RabbitMQ takes the oldest tasks out of them when they are full",
    "max-length-bytes": "RabbitMQ takes the oldest tasks out of them when they are full",
}
"""Keys of policies by which tasks are lost, and how."""


def check_waiting(queue: str, messages: int, consumers: int) -> list[Finding]:
    """What is wrong with the queue of a worker in which so many messages wait."""
    if messages and not consumers:
        text = f"{messages} messages wait in {queue}, which nobody reads"
        advice = f"start a worker or `ltq bridge {queue.partition('.')[2]}` with this URL"
        return [Finding("rabbitmq", Severity.WARNING, text, advice)]
    if messages > _BACKLOG:
        text = f"{messages} messages wait in {queue}: {consumers} consumers do not keep up"
        return [Finding("rabbitmq", Severity.WARNING, text, "is the store away, or slow?")]
    return []


def check_nodes(nodes: Sequence[Node]) -> list[Finding]:
    """Alarms, nodes that are down, and partitions; one finding if there is none."""
    found = [finding for node in nodes for finding in _check_node(node)]
    text = f"nodes: {len(nodes)}, all run, without an alarm or a partition"
    return found or [Finding("rabbitmq nodes", Severity.OK, text)]


def _check_node(node: Node) -> Iterator[Finding]:
    name = "rabbitmq nodes"
    if not node.running:
        text = f"node {node.name} does not run"
        yield Finding(name, Severity.WARNING, text, "start it: queues have a copy less")
        return
    for is_on, what, advice in (
        (node.mem_alarm, "memory", "see why its queues fill, or raise vm_memory_high_watermark"),
        (node.disk_free_alarm, "disk", "make room on its disk, or lower disk_free_limit"),
    ):
        if is_on:
            text = f"node {node.name} has its {what} alarm on: the store alone takes what is sent"
            yield Finding(name, Severity.WARNING, text, advice)
    if node.partitions:
        text = f"node {node.name} has lost {', '.join(node.partitions)}: a partition"
        advice = "repair the network, then restart the nodes of one side"
        yield Finding(name, Severity.DANGER, text, advice)


def check_policies(queues: Sequence[Queue], dead: str) -> list[Finding]:
    """Policies by which RabbitMQ drops or refuses tasks; one finding if there is none."""
    hurt: dict[tuple[str, str, object, bool], list[str]] = {}
    for queue in queues:
        for key, value in _harmful(queue.policies).items():
            place = queue.set_by, key, value, queue.name == dead
            hurt.setdefault(place, []).append(queue.name)
    found = [
        _hurt(f"{by} sets {key}={value!s} for {_named(names)}", key, names, dead, queues)
        for (by, key, value, _), names in hurt.items()
    ]
    unknown = [queue for queue in queues if queue.has_unknown_policy]
    if unknown:
        names = _named([queue.name for queue in unknown])
        text = f"what {unknown[0].set_by} sets for {names} is not known yet"
        advice = "ask again in a moment; it is never known if the API has no statistics"
        found.append(Finding("rabbitmq policies", Severity.OK, text, advice))
    text = "no policy drops tasks"
    return found or [Finding("rabbitmq policies", Severity.OK, text)]


def _harmful(policies: Mapping[str, Any]) -> dict[str, object]:
    """The keys of policies that do harm, with their values."""
    harmful: dict[str, object] = {key: policies[key] for key in _REMOVALS if key in policies}
    limit = policies.get("delivery-limit")
    if isinstance(limit, int) and 0 <= limit < MOST_DELIVERIES:
        harmful["delivery-limit"] = limit
    return harmful


def _hurt(text: str, key: str, names: Sequence[str], dead: str, queues: Sequence[Queue]) -> Finding:
    """What a key of a policy does to queues that have it."""
    name, advice = "rabbitmq policies", "let the pattern of the policy leave them out"
    if names[0] == dead:
        text += ": dead messages are dropped before somebody has looked at them"
        return Finding(name, Severity.WARNING, text, advice)
    if key == "delivery-limit":
        text += ": a task goes to the dead messages if so many of its readers were killed"
        return Finding(name, Severity.WARNING, text, advice)
    refuses = all(q.policies.get("overflow") in _REFUSES for q in queues if q.name in names)
    if key.startswith("max-length") and refuses:
        text += ": when they are full, the store alone takes what is sent"
        return Finding(name, Severity.WARNING, text, advice)
    return Finding(name, Severity.DANGER, f"{text}: {_REMOVALS[key]}", advice)


def check_queues(queues: Sequence[Queue], nodes: int) -> list[Finding]:
    """Types, copies and messages of queues that LTQ uses, of a server with so many nodes."""
    found = [finding for queue in queues for finding in _check_queue(queue, nodes)]
    busiest = sorted(queues, key=_messages, reverse=True)
    lines = [_counts(queue) for queue in busiest[:_MOST_NAMED]]
    more = len(queues) - len(lines)
    text = "; ".join([*lines, *([f"and {more} more"] if more else [])]) or "there is none so far"
    return [*found, Finding("rabbitmq queues", Severity.OK, text)]


def _check_queue(queue: Queue, nodes: int) -> Iterator[Finding]:
    name = "rabbitmq queues"
    if queue.type and queue.type != "quorum":
        text = f"{queue.name} is a {queue.type} queue, not a quorum queue: LTQ cannot use it"
        advice = "take out what is in it, and delete it: the next send creates it"
        yield Finding(name, Severity.DANGER, text, advice)
        return
    copies, there = len(queue.members), len(queue.online)
    if copies and there <= copies // 2:
        text = f"{queue.name} stands still: {there} of the {copies} nodes with a copy are there"
        yield Finding(name, Severity.DANGER, text, "start the others")
    elif copies > there:
        text = f"{queue.name}: {there} of the {copies} nodes with a copy are there"
        yield Finding(name, Severity.WARNING, text, "start the others")
    elif nodes >= _FEWEST_NODES and 0 < copies < min(_COPIES, nodes):
        text = f"{queue.name} has {copies} {'copy' if copies == 1 else 'copies'} on {nodes} nodes"
        advice = "`rabbitmq-queues grow` gives other nodes one: tasks outlive the loss of a node"
        yield Finding(name, Severity.WARNING, text, advice)
    taken, consumers = queue.messages_unacknowledged or 0, queue.consumers or 0
    if taken and taken >= consumers * ROOM:
        text = f"{taken} messages of {queue.name} are taken and not acknowledged"
        advice = "is the store away, or slow? does a program that is not LTQ's read it?"
        yield Finding(name, Severity.WARNING, text, advice)


def check_deprecated(used: Sequence[Deprecated]) -> list[Finding]:
    """Features that a newer version will not have. LTQ uses none; other programs may."""
    if not used:
        return []
    names = ", ".join(sorted(one.name for one in used))
    text = f"deprecated features are in use: {names}"
    advice = "LTQ needs none of them; see to other programs before an upgrade"
    return [Finding("rabbitmq nodes", Severity.OK, text, advice)]


def _messages(queue: Queue) -> int:
    return (queue.messages_ready or 0) + (queue.messages_unacknowledged or 0)


def _counts(queue: Queue) -> str:
    return (
        f"{queue.name} {_shown(queue.messages_ready)} waiting, "
        f"{_shown(queue.messages_unacknowledged)} unacknowledged, "
        f"consumers {_shown(queue.consumers)}"
    )


def _shown(count: int | None) -> str:
    return "?" if count is None else str(count)


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join([*names[:_MOST_NAMED], *([f"{more} more"] if more > 0 else [])])
