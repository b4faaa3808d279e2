"""A message that is ready to be sent."""

import copy
from collections.abc import Mapping
from typing import Any, Generic, Self

import msgspec
from typing_extensions import TypeVar

from ltq.message import Message

R_co = TypeVar("R_co", covariant=True, default=Any)


class EncodedCall(msgspec.Struct, frozen=True, eq=False):
    """The arguments of a call with the form in which they travel."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    body: bytes


class PreparedMessage(Message[R_co], Generic[R_co], frozen=True, eq=False, kw_only=True):
    """What `task.message(...)` makes: a message that knows its task and its encoded arguments.

    To users it is a plain `Message`: it has the same `repr`, equals one with the same fields, and
    becomes one when it is pickled. A copy may be given other arguments: they are encoded when it is
    sent.
    """

    encoded: EncodedCall
    """The arguments it was made with, and how they travel."""
    task: object
    """The task that made it, with the options it was made with."""

    @property
    def body(self) -> bytes | None:
        """The arguments as they travel; None if they are others than it was made with."""
        encoded = self.encoded
        is_kept = self.args is encoded.args and self.kwargs is encoded.kwargs
        return encoded.body if is_kept else None

    def __repr__(self) -> str:
        return repr(self._plain())

    def __eq__(self, other: object) -> bool:
        return self._plain() == (other._plain() if isinstance(other, PreparedMessage) else other)

    def _plain(self) -> Message[R_co]:
        return Message(*(getattr(self, name) for name in Message.__struct_fields__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        names = ("args", "kwargs", "ctx")
        changes = {name: copy.deepcopy(getattr(self, name), memo) for name in names}
        changes["encoded"] = EncodedCall(changes["args"], changes["kwargs"], self.encoded.body)
        return msgspec.structs.replace(self, **changes)

    def __reduce__(self) -> tuple[Any, ...]:
        plain = self._plain()
        return (Message, tuple(getattr(plain, name) for name in Message.__struct_fields__))
