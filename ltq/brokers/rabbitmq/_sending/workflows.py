"""Workflows that are sent while the store is away."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from ltq.broker.flows import FLOW_KEY, is_held, is_in_flow
from ltq.message import Envelope

_MOST_WORKFLOWS = 100
"""Most workflows whose waiting tasks are remembered. The oldest are forgotten first."""


class _Flow(msgspec.Struct):
    end: str


class _Ctx(msgspec.Struct):
    flow: _Flow = msgspec.field(name=FLOW_KEY)


_decode = msgspec.json.Decoder(_Ctx).decode


class Workflows:
    """Keeps the tasks of workflows that wait for others, until those are sent that begin.

    The store has to have them first: the result of a task that ran before that would come to
    nothing. Messages of RabbitMQ arrive in any order, so these go in one.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, dict[str, Envelope]] = OrderedDict()
        """By the id of the last one of the workflow."""

    def split(
        self, envelopes: Sequence[Envelope]
    ) -> tuple[list[Envelope], list[Sequence[Envelope]]]:
        """What may go alone; and what has to go together, for each workflow.

        What waits for others goes with what begins: now, or in a later call.
        """
        alone: list[Envelope] = []
        begin: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            if waits(envelope):
                self._keep(envelope)
        for envelope in envelopes:
            if waits(envelope):
                continue
            end = _end_of(envelope)
            if end in self._waiting:
                begin.setdefault(end, []).append(envelope)
            else:
                alone.append(envelope)
        return alone, [[*self._waiting[end].values(), *some] for end, some in begin.items()]

    def before(self, envelopes: Iterable[Envelope]) -> list[Envelope]:
        """What the store has to have before these, as far as it was sent past the store."""
        ends = dict.fromkeys(_end_of(one) for one in envelopes if not waits(one))
        return [one for end in ends for one in self._waiting.get(end, {}).values()]

    def _keep(self, envelope: Envelope) -> None:
        self._waiting.setdefault(_end_of(envelope), {})[envelope.id] = envelope
        while len(self._waiting) > _MOST_WORKFLOWS:
            self._waiting.popitem(last=False)


def waits(envelope: Envelope) -> bool:
    """Whether it is a task of a workflow that waits for others."""
    return envelope.eta is not None and is_held(envelope.eta) and is_in_flow(envelope.ctx)


def _end_of(envelope: Envelope) -> str:
    """The id of the last task of its workflow; empty if it is part of none."""
    if not is_in_flow(envelope.ctx):
        return ""
    try:
        return _decode(envelope.ctx).flow.end
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
