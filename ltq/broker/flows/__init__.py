"""What a store keeps of workflows: endings to carry on, and tasks that wait for others.

A task is part of a workflow if its `ctx` has the key `FLOW_KEY`. When such a task ends, however
that comes, the store keeps an `Ending` of it in the same atomic step. Whoever finds the ending
carries the workflow on, with calls that may all be repeated, and then removes it. So a workflow
stands still only while nobody looks, and no step of it takes effect twice. A result may arrive at
what waits for it in the step of its outcome: if that waits for more, no ending is kept.

The same is kept of any other task whose outcome has something to follow: `Finish.follow`, envelopes
which are sent because the run completed.

A task that waits for others is sent with `eta=HELD`: it is DELAYED without a due time. What it
waits for arrives in its slots.
"""

from ltq.broker.flows.packed import pack_follow, unpack_follow
from ltq.broker.flows.role import Flows
from ltq.broker.flows.values import (
    FAILED,
    FLOW_KEY,
    FLOW_KEYS,
    HELD,
    MAX_SLOTS,
    NOTE,
    OUTLINE_KEY,
    Arrival,
    ArrivalCount,
    Arrived,
    Ending,
    Ready,
    WaitingTask,
    ending_key,
    flow_in,
    has_outline,
    is_held,
    is_in_flow,
    waits_for_others,
    with_flow,
)

__all__ = [
    "FAILED",
    "FLOW_KEY",
    "FLOW_KEYS",
    "HELD",
    "MAX_SLOTS",
    "NOTE",
    "OUTLINE_KEY",
    "Arrival",
    "ArrivalCount",
    "Arrived",
    "Ending",
    "Flows",
    "Ready",
    "WaitingTask",
    "ending_key",
    "flow_in",
    "has_outline",
    "is_held",
    "is_in_flow",
    "pack_follow",
    "unpack_follow",
    "waits_for_others",
    "with_flow",
]
