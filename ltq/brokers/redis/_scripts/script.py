"""A call of a Lua script. Its fields are the arguments, in order."""

from typing import ClassVar, Generic, Literal, Self, TypeVar

from msgspec.structs import astuple, replace

from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers.redis._scripts.texts import sha, source
from ltq.brokers.redis._server.call import Argument, Call
from ltq.brokers.redis._server.reply_limit import SHRINK

Flag = Literal["", "1"]
"""A bool as scripts take it: "1" is true."""

Again = Literal["", "1", "late"]
"""Whether a call may have been carried out before; "late": or may be carried out after one that is
the same, which then was the repeated one."""

R_co = TypeVar("R_co", covariant=True)


def flag(value: bool) -> Flag:
    """A bool as scripts take it."""
    return "1" if value else ""


class Script(Call[R_co], Generic[R_co], frozen=True, kw_only=True):
    """A call of the script with this name, on the keys that begin with `prefix`."""

    name: ClassVar[str]

    prefix: str

    @property
    def title(self) -> str:
        return self.name

    def words(self) -> tuple[Argument, ...]:
        *values, last = astuple(self)
        if isinstance(last, list):
            return "EVALSHA", sha(self.name), 1, *values, *last
        return "EVALSHA", sha(self.name), 1, *values, last

    def words_with_source(self) -> tuple[Argument, ...]:
        return "EVAL", source(self.name), *self.words()[2:]


class Bounded(Script[R_co], Generic[R_co], frozen=True, kw_only=True):
    """A script that reads up to about `most_bytes`, and less if it is repeated."""

    most_bytes: int = CALL_BYTES

    def repeated(self) -> Self:
        return replace(self, most_bytes=self.most_bytes // SHRINK)


class RepeatedKnowingly(Script[R_co], Generic[R_co], frozen=True, kw_only=True):
    """A script that has to know whether the call may have been carried out before."""

    again: Again = ""

    def repeated(self) -> Self:
        return replace(self, again="1")
