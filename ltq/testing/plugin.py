"""The pytest plugin, installed with LTQ: fixtures for `ltq.testing`.

The fixtures are plain functions: they suit tests with any plugin for asyncio, or without one.
"""

from collections.abc import Iterator, Sequence

import pytest

from ltq.testing import Box, Clock, FlakyBroker, use
from ltq.testing.box import Target

pytest.register_assert_rewrite("ltq.testing.conformance")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "ltq(*targets, start=, patience=, with_scheduler=, running=): the arguments with which "
        "`ltq_box` calls `ltq.testing.use`; targets replace `ltq_targets`",
    )


@pytest.fixture
def ltq_targets() -> Sequence[Target]:
    """The workers, Apps and Schedulers under test. Override this fixture."""
    return []


@pytest.fixture
def ltq_box(request: pytest.FixtureRequest, ltq_targets: Sequence[Target]) -> Iterator[Box]:
    """The box of `ltq_targets`, or of the targets of `@pytest.mark.ltq(...)`."""
    targets, options = list(ltq_targets), dict[str, object]()
    markers = list(request.node.iter_markers("ltq"))
    for marker in reversed(markers):  # the nearest marker wins
        targets = list(marker.args) or targets
        options |= marker.kwargs
    with use(*targets, **options) as box:  # type: ignore[arg-type]  # `use` checks them
        yield box


@pytest.fixture
def ltq_clock(ltq_box: Box) -> Clock:
    """The clock of `ltq_box`."""
    return ltq_box.clock


@pytest.fixture
def ltq_broker(ltq_box: Box) -> FlakyBroker:
    """The broker of `ltq_box`."""
    return ltq_box.broker
