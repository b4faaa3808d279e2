"""What clients send to PostgreSQL, for the proxy: which call is which."""

import re
import struct

_FUNCTION = re.compile(rb'SELECT \* FROM "[^"]+"\.(\w+)\(')


class PostgresReader:
    """Finds the statements that are executed: each is a command of one word.

    A call of a function of LTQ's is called by the function's name, another statement by its first
    word in capitals. Connections have to be plain: `sslmode=disable&gssencmode=disable`.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._has_begun = False
        self._prepared: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> list[list[bytes]]:
        """See `Reader`."""
        self._buffer += data
        commands = []
        while (message := self._next()) is not None:
            name = self._executed(*message)
            if name:
                commands.append([name])
        return commands

    def name_of(self, command: list[bytes]) -> str:
        """See `Reader`."""
        return command[0].decode()

    def _next(self) -> tuple[bytes, bytes] | None:
        """The next message: its kind and the rest."""
        behind = 1 if self._has_begun else 0  # the first has no kind
        if len(self._buffer) < behind + 4:
            return None
        (size,) = struct.unpack_from("!i", self._buffer, behind)
        if len(self._buffer) < behind + size:
            return None
        kind, text = self._buffer[:behind], self._buffer[behind + 4 : behind + size]
        self._buffer, self._has_begun = self._buffer[behind + size :], True
        return kind, text

    def _executed(self, kind: bytes, text: bytes) -> bytes:
        """The name of what a message executes, empty if it executes nothing."""
        if kind == b"Q":
            return _name(text)
        if kind == b"P":
            prepared, statement, *_ = text.split(b"\0")
            self._prepared[prepared] = _name(statement)
        if kind == b"B":
            return self._prepared.get(text.split(b"\0")[1], b"?")
        return b""


def _name(statement: bytes) -> bytes:
    called = _FUNCTION.match(statement)
    words = statement.replace(b"\0", b" ").replace(b";", b" ").split(None, 1)
    return called[1] if called else (words[0].upper() if words else b"")
