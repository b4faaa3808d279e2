"""The factories of the conformance suite, for the tests beside it."""

from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    lose,
    make_envelope,
    make_worker_entry,
    publish,
    publish_many,
    started,
)

__all__ = [
    "QUEUE",
    "claim_ids",
    "claim_one",
    "lose",
    "make_envelope",
    "make_worker_entry",
    "publish",
    "publish_many",
    "started",
]
