"""A message that is ready to be sent."""

from typing import Any, Generic

from typing_extensions import TypeVar

from ltq.message import Message

R_co = TypeVar("R_co", covariant=True, default=Any)


class PreparedMessage(Message[R_co], Generic[R_co], frozen=True, eq=False, kw_only=True):
    """What `task.message(...)` makes: a message that knows its task and its encoded arguments.

    To users it is a plain `Message`: it has the same `repr`, and equals one with the same fields.
    """

    body: bytes
    """The arguments as they travel."""
    task: object
    """The task that made it, with the options it was made with."""

    def __repr__(self) -> str:
        return repr(self._plain())

    def __eq__(self, other: object) -> bool:
        return self._plain() == (other._plain() if isinstance(other, PreparedMessage) else other)

    def _plain(self) -> Message[R_co]:
        return Message(*(getattr(self, name) for name in Message.__struct_fields__))
