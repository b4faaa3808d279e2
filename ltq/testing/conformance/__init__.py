"""The conformance suite: what every broker promises, as tests that any package can run.

    import pytest
    from ltq.testing.conformance import *
    from mine import MyBroker

    @pytest.fixture
    def make_broker(tmp_path):
        return lambda: MyBroker(f"mine://{tmp_path}/tasks")

That is a whole test file. The suite asks for one fixture, `make_broker`: a callable without
arguments that returns another broker on the same store at each call. The store has to be empty when
a test begins; the suite closes the brokers it has opened. It needs pytest and pytest-asyncio, in
either mode. `ltq.testing.conformance.seam` is the half about a broker's own calls, and
`ltq.testing.conformance.workers` the half about workers, schedulers and handles over a broker. See
`docs/broker.md`.
"""

from ltq.testing.conformance import seam, workers
from ltq.testing.conformance._support.marks import mark_coroutines
from ltq.testing.conformance.seam import *
from ltq.testing.conformance.workers import *

__all__ = [*seam.__all__, *workers.__all__]

mark_coroutines(seam, workers)
