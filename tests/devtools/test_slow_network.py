"""A network that takes time, and nothing else."""

import asyncio
import time

from devtools.slow_network import SlowNetwork
from tests.elapse import elapse

SECONDS = 0.2


async def test_each_direction_takes_so_long_and_nothing_waits_for_what_is_before_it() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        with SlowNetwork(server.sockets[0].getsockname()[1], SECONDS) as network:
            reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
            sent = []
            for number in range(3):
                sent.append(time.monotonic())
                writer.write(b"%d\n" % number)
                await elapse(SECONDS / 2, "the next one follows before this one has arrived")
            for number in range(3):
                assert await reader.readline() == b"%d\n" % number
                assert time.monotonic() - sent[number] >= 2 * SECONDS
            assert time.monotonic() - sent[-1] < 4 * SECONDS + 3 * SECONDS
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
