"""The outcome of a run that something follows, and who wants to know what became of that."""

from collections.abc import Sequence
from typing import Protocol

from ltq.message import Finish, Published


class Sends(Protocol):
    """Messages that are sent because a run completed."""

    def answered(self, answers: Sequence[Published]) -> None:
        """The broker has answered, in their order."""
        ...

    def end(self, enqueued: bool | None) -> None:
        """Nothing was sent (False), or nobody knows (None)."""
        ...


class FollowedFinish(Finish, frozen=True):
    """The outcome of a run that something follows: `Finish.follow`."""

    sends: Sends | None = None
