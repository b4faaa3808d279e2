"""Why a task cannot be sent once more."""

from collections.abc import Mapping

from ltq.errors import RerunError
from ltq.state import Status

NOT_KEPT = "its arguments were not kept: give the task, or the send, keep_body=True"
"""The reason if a final task has no arguments."""


def not_final(status: Status) -> str:
    """The reason if a task has not ended."""
    return f"it has not ended: {status}"


def check_reruns(reasons: Mapping[str, str]) -> None:
    """Raise `RerunError` if there are reasons, by the id of the task."""
    if reasons:
        raise RerunError(reasons)
