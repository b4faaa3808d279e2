"""Workers, schedulers and handles do the same over every broker of LTQ."""

from ltq.testing.conformance.workers import *
