"""A TCP proxy in front of a server that does what networks do to connections."""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from ltq.brokers.redis._scripts.calls import SCRIPTS
from ltq.brokers.redis._scripts.texts import sha, source

Mode = Literal["pass", "reset", "hole"]
"""reset: answer each new connection with a reset; hole: keep all open and move no byte."""

_READ = 65536

_NAMES = {sha(name).encode(): name for name in SCRIPTS} | {
    source(name).encode(): name for name in SCRIPTS
}


def name_of(command: list[bytes]) -> str:
    """What a command is called here: its script's name, else the command's own."""
    verb = command[0].upper()
    if verb in (b"EVALSHA", b"EVAL") and len(command) > 1:
        return _NAMES.get(command[1], "?")
    return verb.decode(errors="replace")


class Reader(Protocol):
    """Finds the commands in what a client sends on one connection."""

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands that are complete now."""
        ...

    def name_of(self, command: list[bytes]) -> str:
        """What a command is called here."""
        ...


class CommandReader:
    """Finds the commands of Redis."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The commands that are complete now."""
        self._buffer += data
        commands = []
        while (parsed := self._parse()) is not None:
            commands.append(parsed)
        return commands

    def name_of(self, command: list[bytes]) -> str:
        """See `Reader`."""
        return name_of(command)

    def _parse(self) -> list[bytes] | None:
        line, found, _ = self._buffer.partition(b"\r\n")
        if not found:
            return None
        position, words = len(line) + 2, []
        for _ in range(int(line[1:])):
            end = self._buffer.find(b"\r\n", position)
            if end < 0:
                return None
            size = int(self._buffer[position + 1 : end])
            position = end + 2 + size + 2
            if position > len(self._buffer):
                return None
            words.append(self._buffer[end + 2 : position - 2])
        self._buffer = self._buffer[position:]
        return words


@dataclass
class Drop:
    """The reply that shall be lost."""

    name: str
    left: int
    keep: int
    before: Callable[[], Awaitable[None]] | None


_BY_CHANCE = Drop("", 1, 0, None)


class Proxy:
    """Use as an async context manager; `port` is where clients connect.

    `up` and `down` are the most bytes a second of each connection to the server and to the client
    (0: all); `answer` is what each call of a script gets instead of reaching the server;
    `drop_share` is how probable it is that a reply is lost, with its connection; while it
    `is_mute`, messages of Pub/Sub are lost; `accepted` holds the moments (loop time) at which
    clients connected; `dropped` counts lost replies, `replied` bytes of replies, `commands` what
    clients sent, by name. `server_port` is where new connections go. `reader` knows what the server
    speaks. For a network that only takes time see `devtools.slow_network`.
    """

    def __init__(
        self,
        server_port: int,
        *,
        chance: random.Random | None = None,
        reader: Callable[[], Reader] = CommandReader,
    ) -> None:
        self.server_port = server_port
        self.reader = reader
        self._chance = chance or random.Random()
        self._mode: Mode = "pass"
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()
        self._drop: Drop | None = None
        self.up = self.down = 0.0
        self.answer = b""
        self.drop_share = 0.0
        self.is_mute = False
        self.accepted: list[float] = []
        self.dropped = 0
        self.replied = 0
        self.commands: Counter[str] = Counter()
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "hole":
            self._flowing.clear()
        else:
            self._flowing.set()

    def drop(
        self,
        name: str,
        nth: int = 1,
        *,
        keep: int = 0,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Lose the reply of the nth call from now of a script (or command), but for `keep` bytes.

        The server carries the call out. `before` runs after that and before the client can know.
        """
        self._drop = Drop(name, nth, keep, before)

    def reset_all(self) -> None:
        """Reset every connection there is."""
        for wire in list(self._wires):
            wire.reset()

    def freeze_all(self) -> None:
        """No byte moves any more on the connections there are; new ones work."""
        for wire in self._wires:
            wire.frozen = True

    async def refuse(self) -> None:
        """Listen no more, and reset what is connected."""
        assert self._server is not None
        self._server.close()
        self.reset_all()

    async def accept(self) -> None:
        """Listen (again), on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*(wire.aclose() for wire in list(self._wires)))

    def dooms(self, name: str) -> Drop | None:
        """Count a call; whether it is the one whose reply shall be lost."""
        drop = self._drop
        self.commands[name] += 1
        if drop is None or name != drop.name:
            return None
        drop.left -= 1
        if drop.left > 0:
            return None
        self._drop = None
        return drop

    def loses(self) -> bool:
        """Whether chance has it that this reply is lost."""
        return bool(self.drop_share) and self._chance.random() < self.drop_share

    async def hold(self, size: int = 0, rate: float = 0.0) -> None:
        """Wait as long as nothing may move, and as `size` bytes take."""
        await self._flowing.wait()
        if rate:
            await asyncio.sleep(size / rate)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(asyncio.get_running_loop().time())
        if self._mode == "reset":
            _reset(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            _reset(writer)
            return
        wire = _Wire(self, (reader, writer), upstream)
        self._wires.add(wire)
        try:
            await wire.run()
        finally:
            self._wires.discard(wire)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Wire:
    """One client's connection."""

    def __init__(self, proxy: Proxy, client: Streams, server: Streams) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._commands = proxy.reader()
        self._doom: Drop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.frozen = False

    async def run(self) -> None:
        """Move bytes until either side ends."""
        self._tasks = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in (self._to_client, self._to_server):
            writer.close()

    async def aclose(self) -> None:
        """Reset, and wait for the end."""
        self.reset()
        await asyncio.wait(self._tasks)

    def reset(self) -> None:
        """Reset both sides."""
        for task in self._tasks:
            task.cancel()
        _reset(self._to_client)
        _reset(self._to_server)

    async def _up(self) -> None:
        with suppress(OSError):
            while data := await self._from_client.read(_size(self._proxy.up)):
                await self._hold(len(data), self._proxy.up)
                if self._answers(self._commands.feed(data)):
                    continue
                self._to_server.write(data)
                await self._to_server.drain()
        await self._hold()  # nor is the end of a connection known before

    async def _down(self) -> None:
        with suppress(OSError):
            while data := await self._from_server.read(_size(self._proxy.down)):
                await self._hold(len(data), self._proxy.down)
                if self._proxy.is_mute and b"\r\nmessage\r\n" in data:
                    continue
                if self._doom is not None:
                    await self._lose(self._doom, data)
                    return
                if self._proxy.loses():
                    await self._lose(_BY_CHANCE, data)
                    return
                self._to_client.write(data)
                self._proxy.replied += len(data)
                await self._to_client.drain()

    def _answers(self, commands: list[list[bytes]]) -> bool:
        """Count commands; whether they were answered here."""
        for command in commands:
            name = self._commands.name_of(command)
            self._doom = self._proxy.dooms(name) or self._doom
        calls = sum(command[0].upper() in (b"EVALSHA", b"EVAL") for command in commands)
        if self._proxy.answer and calls:
            self._to_client.write(self._proxy.answer * calls)
            return True
        return False

    async def _lose(self, doom: Drop, reply: bytes) -> None:
        if doom.before is not None:
            await doom.before()
        if doom.keep:
            self._to_client.write(reply[: doom.keep])
            await self._to_client.drain()
            await asyncio.sleep(0.005)
        self._proxy.dropped += 1
        _reset(self._to_client)

    async def _hold(self, size: int = 0, rate: float = 0.0) -> None:
        if self.frozen:
            await asyncio.Event().wait()
        await self._proxy.hold(size, rate)


def _size(rate: float) -> int:
    """How many bytes are read at once, so that they move evenly."""
    return max(1, min(_READ, int(rate / 20))) if rate else _READ


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.transport.is_closing():
        return
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
