"""An action: what a form asks for, and what is said of it afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ltq.web._pages.page import Ask


@dataclass(frozen=True, slots=True)
class Act:
    """What a form asks for."""

    ask: Ask
    form: Mapping[str, str]
    chosen: Sequence[str] = ()
    """What was ticked in a list."""

    def get(self, name: str) -> str:
        """A field, without spaces around it; empty if it is not there."""
        return self.form.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class Done:
    """What an action has done."""

    text: str
    """For the log and for the page, such as `paused the queue mail:send`."""
    path: str
    """The page to show next, behind the key of the broker."""
    changed: bool = True
    """Whether something was changed. If not, the text says why."""


@dataclass(frozen=True, slots=True)
class Again:
    """A form that was filled in wrongly, to be shown once more."""

    template: str
    context: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    """Why, for the log."""


class Does(Protocol):
    """Does what a form asks for. Raises `LtqError`, `MissingError`."""

    async def __call__(self, act: Act, /) -> Done | Again: ...


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of action."""

    path: str
    do: Does
    back: str
    """The page that says why it failed, with the variable parts of `path`."""
