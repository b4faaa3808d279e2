"""Who may see the dashboard, and who may change something there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

Level = Literal["read", "write"]
"""What somebody may do: look, or also act."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the one who sends a request may do, and who that is."""

    level: Level
    name: str = ""
    """Who it is, for the log of actions and the head of the page. Empty: not known."""

    @property
    def can_write(self) -> bool:
        """Whether it includes actions."""
        return self.level == "write"


Verdict = Level | Access | None
"""What `authorize` answers: None is nothing at all."""

Authorize = Callable[[Request], Verdict | Awaitable[Verdict]]
"""Says what the one who sends a request may do. It is called for each page, stream and action."""

Redact = Callable[[str, Any], Any]
"""Takes the name of a task and a value of it; returns what may be shown of the value.

The value is a call, `{"args": [...], "kwargs": {...}}`, a result, or the note of a progress, as
plain data. If it raises, the value is not shown.
"""
