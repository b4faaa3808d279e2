"""What `aiormq` logs of LTQ's connections, and of others."""

import logging
from contextvars import copy_context

import pytest

from ltq.brokers.rabbitmq._server.quiet import keep_quiet


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(one.levelname, one.message) for one in caplog.records]


@pytest.mark.parametrize("name", ["aiormq.connection", "aiormq.channel"])
class TestOfLtq:
    def speak(self, name: str) -> None:
        """As in a task of a connection of LTQ's, and then in one of somebody else's."""

        def ours() -> None:
            keep_quiet()
            copy_context().run(logging.getLogger(name).warning, "ours")

        copy_context().run(ours)
        logging.getLogger(name).warning("theirs")

    def test_it_is_left_out(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.speak(name)
        assert told(caplog) == [("WARNING", "theirs")]

    def test_it_is_there_for_who_looks_closely(
        self, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        self.speak(name)
        assert told(caplog) == [("DEBUG", "ours"), ("WARNING", "theirs")]
