"""Envelopes and outcomes as arguments of `send` and `finish`, in groups of those that are alike."""

import math
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from ltq.broker.schedule_slots import ScheduleSlot
from ltq.brokers.redis._server.call import Argument
from ltq.codec import DEFAULT_SERIALIZER
from ltq.message import Envelope, Failure, Finish, Outcome, Requeue
from ltq.options import Priority
from ltq.state import Status

_APART = frozenset(("id", "body", "on_full", "full_timeout"))
"""What may differ within a group: what each task has of its own, and what is the sender's."""

_but_id_and_body = attrgetter(*(name for name in Envelope.__struct_fields__ if name not in _APART))


def send_groups(envelopes: Sequence[Envelope]) -> list[Argument]:
    """The groups of `send`: consecutive envelopes with the same values but id and body."""
    if len(envelopes) == 1:
        return _send_group(envelopes)
    arguments: list[Argument] = []
    for _, alike in groupby(envelopes, _but_id_and_body):
        arguments += _send_group([*alike])
    return arguments


def slot_arguments(slot: ScheduleSlot) -> list[Argument]:
    """One slot of a schedule for `fire`."""
    return [
        slot.schedule,
        slot.spec,
        "" if slot.after is None else slot.after,
        slot.slot,
        slot.due,
        slot.scheduler,
        slot.since,
        "1" if slot.leaves else "",
        slot.put,
        *([0] if slot.envelope is None else [1, *_send_group([slot.envelope])]),
    ]


def _send_group(envelopes: Sequence[Envelope]) -> list[Argument]:
    first = envelopes[0]
    conditions, fields = _conditions(first), fields_of(first)
    arguments: list[Argument] = [
        first.queue,
        first.lane or first.queue,
        int(first.priority),
        first.delay or 0,
        "" if first.eta is None else repr(first.eta),
        len(envelopes),
        len(conditions),
        len(fields),
    ]
    arguments += conditions
    arguments += fields
    for envelope in envelopes:
        arguments += (envelope.id, envelope.body)
    return arguments


def _conditions(envelope: Envelope) -> list[Argument]:
    """Under which conditions an envelope is enqueued. Most have none."""
    conditions: list[Argument] = []
    if envelope.max_pending is not None:
        conditions += ("max_pending", envelope.max_pending)
    if envelope.fingerprint:
        milliseconds = max(1, math.ceil(envelope.unique_for * 1000))
        conditions += ("fingerprint", envelope.fingerprint, "unique_for", milliseconds)
    if not envelope.has_new_id:
        conditions += ("id_may_be_old", "1")
    return conditions


def fields_of(envelope: Envelope) -> list[Argument]:
    """The first fields of a task's hash. Fields with their default value are left out."""
    fields: list[Argument] = ["task", envelope.task_name]
    queue, lane = envelope.queue, envelope.lane or envelope.queue
    if queue != envelope.task_name:
        fields += ("queue", queue)
    if lane != queue:
        fields += ("lane", lane)
    if envelope.priority is not Priority.NORMAL:
        fields += ("priority", int(envelope.priority))
    if envelope.serializer != DEFAULT_SERIALIZER:
        fields += ("serializer", envelope.serializer)
    for name, value in (
        ("ctx", envelope.ctx or None),
        ("fingerprint", envelope.fingerprint or None),
        ("tags", " ".join(envelope.tags) or None),
        ("timeout", envelope.timeout),
        ("max_tries", envelope.max_tries),
        ("result_ttl", envelope.result_ttl),
        ("max_deliveries", envelope.max_deliveries),
        ("keep_body", None if envelope.keep_body is None else int(envelope.keep_body)),
        ("max_items", envelope.max_items),
    ):
        if value is not None:
            fields += (name, value)
    return fields


def is_told(outcomes: Sequence[Outcome]) -> bool:
    """Whether `finish` tells those who watch these tasks how they ended: there are few, all
    complete, and their results are small."""
    return len(outcomes) <= _MOST_TOLD and all(
        type(outcome) is Finish
        and outcome.status is _COMPLETED
        and outcome.result_ttl > 0
        and len(outcome.result) <= _TOLD_BYTES
        for outcome in outcomes
    )


def finish_groups(outcomes: Sequence[Outcome]) -> list[Argument]:
    """The groups of `finish`: consecutive outcomes with the same values but lease and result."""
    arguments: list[Argument] = []
    if all(type(outcome) is Finish and outcome.status is _COMPLETED for outcome in outcomes):
        for _, those in groupby(outcomes, _of_completed):
            arguments += _finish_group([*those])
        return arguments
    for _, alike in groupby(outcomes, _but_lease_and_result):
        arguments += _finish_group([*alike])
    return arguments


_MOST_TOLD, _TOLD_BYTES = 2, 1024
"""Of how many tasks one call tells, and bytes of the largest such result: a server also sends that
to its replicas."""

_COMPLETED = Status.COMPLETED  # Python 3.11 takes as long to look up a member as for three calls

_of_completed = attrgetter(
    *("lease.queue", "failure", "result_ttl", "dead", "ctx", "is_poison", "follow", "serializer"),
    "waiter",
)
"""What `_but_lease_and_result` has of outcomes that are all completed, many times faster."""


def _but_lease_and_result(outcome: Outcome) -> object:
    """What the outcomes of one group have in common. Each requeue is a group of its own."""
    if not isinstance(outcome, Finish):
        return outcome
    queue, failure = outcome.lease.queue, outcome.failure
    kept = outcome.dead, outcome.ctx, outcome.is_poison, outcome.follow, outcome.waiter
    result = not outcome.result, outcome.serializer
    return queue, outcome.status, failure, outcome.result_ttl, kept, result


def _finish_group(outcomes: Sequence[Outcome]) -> list[Argument]:
    first = outcomes[0]
    if isinstance(first, Finish):
        status, seconds = first.status, first.result_ttl
        has_result = status is Status.COMPLETED or bool(first.result)
        flags = {"dead": first.dead, "result": has_result, "poison": first.is_poison}
        flags["follow"] = bool(first.follow)
        flags["waiter"] = _waits(first)
    else:
        status = Status.DELAYED if first.delay > 0 else Status.PENDING
        seconds = first.delay
        keeps = first.is_void and first.failure is None
        flags = {"failed": first.failed, "front": first.front, "void": first.is_void, "keep": keeps}
    fields = _outcome_fields(first)
    words = " ".join([word for word, holds in flags.items() if holds])
    arguments: list[Argument] = [first.lease.queue, status.value, seconds, words]
    arguments += (len(outcomes), len(fields))
    arguments += fields
    for outcome in outcomes:
        lease, result = outcome.lease, outcome.result if isinstance(outcome, Finish) else b""
        arguments += (lease.id, lease.token, result)
    return arguments


def _waits(outcome: Finish) -> bool:
    """Whether a result may arrive in the step of this outcome."""
    return outcome.waiter is not None and outcome.status is _COMPLETED and not outcome.follow


def _outcome_fields(outcome: Outcome) -> list[Argument]:
    """The fields that an outcome sets, except the result."""
    fields: list[Argument] = []
    if isinstance(outcome, Requeue):
        if outcome.ctx is not None:
            fields += ("ctx", outcome.ctx)
        if outcome.timeout is not None:
            fields += ("timeout", outcome.timeout)
    else:
        if outcome.dead and outcome.ctx is not None:
            fields += ("ctx", outcome.ctx)
        if outcome.serializer != DEFAULT_SERIALIZER:
            fields += ("serializer", outcome.serializer)
        if outcome.follow:
            fields += ("follow", outcome.follow)
        if outcome.waiter is not None and _waits(outcome):
            waiter = outcome.waiter
            fields += ("waiter", f"{waiter.slot} {waiter.of} {waiter.id}")
    return fields + failure_fields(outcome.failure)


def failure_fields(failure: Failure | None) -> list[Argument]:
    """What a task's hash has of an error."""
    fields: list[Argument] = []
    if failure is not None:
        fields += ("error", failure.text.encode("utf-8", "backslashreplace"))
        if failure.type:
            fields += ("error_type", failure.type)
        if failure.traceback:
            fields += ("traceback", failure.traceback.encode("utf-8", "backslashreplace"))
    return fields
