"""A call of the server: what is sent, what is sent again, and how the reply is read."""

from typing import Any, Generic, Self, TypeVar

import msgspec
from hiredis import pack_command

Argument = str | bytes | int | float

Reply = Any
"""What Redis answers: bytes, ints, None, and lists of these."""

R_co = TypeVar("R_co", covariant=True)


class Call(msgspec.Struct, Generic[R_co], frozen=True):
    """A call that may be repeated safely if its reply is lost."""

    @property
    def title(self) -> str:
        """What error messages call it: the name of the script or of the command."""
        raise NotImplementedError

    def words(self) -> tuple[Argument, ...]:
        """The command as it is sent."""
        raise NotImplementedError

    def packed(self) -> bytes:
        """The same as bytes."""
        return pack(self.words())

    def words_with_source(self) -> tuple[Argument, ...] | None:
        """The command for a server that does not know the script; None if there is no script."""
        return None

    def repeated(self) -> Self:
        """The call as it is sent again, when it may have been carried out without a reply."""
        return self

    def read(self, reply: Reply) -> R_co:
        """The reply as a value. Raises any exception if its shape is wrong."""
        raise NotImplementedError


class Command(Call[Reply], frozen=True):
    """A command of Redis. Its reply is returned as it is."""

    parts: tuple[Argument, ...]

    @property
    def title(self) -> str:
        return str(self.parts[0])

    def words(self) -> tuple[Argument, ...]:
        return self.parts

    def read(self, reply: Reply) -> Reply:
        return reply


def pack(words: tuple[Argument, ...]) -> bytes:
    """A command as bytes. hiredis packs it many times faster than redis-py."""
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub means 1-tuples
    return packed
