"""The one poller of the tests: that of the conformance suite."""

from ltq.testing.conformance._support.eventually import eventually

__all__ = ["eventually"]
