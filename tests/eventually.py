"""The one poller of the tests: that of the conformance suite."""

from ltq.testing.conformance._eventually import eventually

__all__ = ["eventually"]
