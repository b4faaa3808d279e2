"""One call of the server: what is sent, what is sent again, and what the reply means."""

from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import msgspec
from msgspec.structs import astuple, replace

from ltq.brokers.redis._lua import sha, source

Argument = str | bytes | int | float

Reply = Any
"""What Redis answers: bytes, ints, None, and lists of these."""

Flag = Literal["", "1"]
"""No, or yes, as scripts take it."""

R_co = TypeVar("R_co", covariant=True)


def flag(value: bool) -> Flag:
    """A bool as scripts take it."""
    return "1" if value else ""


class Call(msgspec.Struct, Generic[R_co], frozen=True):
    """A call that may be repeated safely if its reply is lost."""

    def words(self) -> tuple[Argument, ...]:
        """The command as it is sent."""
        raise NotImplementedError

    def words_with_source(self) -> tuple[Argument, ...] | None:
        """The command for a server that does not know its script; None if it has no script."""
        return None

    def repeated(self) -> Self:
        """The call as it is sent again, once it may have been carried out without a reply."""
        return self

    def read(self, reply: Reply) -> R_co:
        """The reply as a value. Raises an exception of any type if its shape is wrong."""
        raise NotImplementedError


class Command(Call[Reply], frozen=True):
    """A command of Redis, whose reply stays as it is."""

    parts: tuple[Argument, ...]

    def words(self) -> tuple[Argument, ...]:
        return self.parts

    def read(self, reply: Reply) -> Reply:
        return reply


class Script(Call[R_co], Generic[R_co], frozen=True, kw_only=True):
    """A call of the script with this name, on the keys that begin with `prefix`."""

    name: ClassVar[str]

    prefix: str

    def words(self) -> tuple[Argument, ...]:
        return "EVALSHA", sha(self.name), 1, *self._arguments()

    def words_with_source(self) -> tuple[Argument, ...]:
        return "EVAL", source(self.name), 1, *self._arguments()

    def _arguments(self) -> tuple[Argument, ...]:
        values = astuple(self)
        return (*values[:-1], *values[-1]) if isinstance(values[-1], list) else values


class RepeatedKnowingly(Script[R_co], Generic[R_co], frozen=True, kw_only=True):
    """A script that has to be told when the call may have been carried out before."""

    again: Flag = ""

    def repeated(self) -> Self:
        return replace(self, again="1")
