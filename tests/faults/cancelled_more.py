"""Calls of streams and workflows, for `CALLS`."""

from contextlib import aclosing
from typing import Any

import ltq
from ltq.streams import StreamHandle
from tests.faults.cancelled import BRIEFLY, Stand, call


async def _stream(stand: Stand, count: int = 3) -> StreamHandle[str]:
    handle = await stand.letters.send(count)
    stand.acknowledge(handle)
    return handle


async def _workflow(stand: Stand) -> ltq.WorkflowHandle[Any]:
    doubled = stand.double.step(1).then(stand.double)
    handle = await ltq.join(doubled, stand.double.step(2)).send()
    stand.acknowledge(handle)
    return handle


@call("StreamTask.send")
@call("StreamHandle.state")
async def _(stand: Stand) -> None:
    await (await _stream(stand)).state()


@call("StreamTask.send_many")
async def _(stand: Stand) -> None:
    messages = [stand.letters.message(number) for number in range(5)]
    for handle in await stand.letters.send_many(messages):
        stand.acknowledge(handle)


@call("StreamTask.items")
async def _(stand: Stand) -> None:
    async for _item in stand.letters.items(3):
        pass


@call("Stream.__anext__")
@call("Stream.aclose")
async def _(stand: Stand) -> None:
    stream = (await _stream(stand)).stream(timeout=BRIEFLY)
    try:
        await anext(stream)
    finally:
        await stream.aclose()


@call("StreamHandle.collect")
async def _(stand: Stand) -> None:
    await (await _stream(stand, 20)).collect(BRIEFLY)


@call("StreamHandle.present_items")
async def _(stand: Stand) -> None:
    await (await _stream(stand)).present_items()


@call("StreamHandle.result")
async def _(stand: Stand) -> None:
    await (await _stream(stand)).result(BRIEFLY)


@call("StreamHandle.wait")
@call("StreamHandle.rerun")
async def _(stand: Stand) -> None:
    handle = await _stream(stand)
    await handle.wait(BRIEFLY)
    stand.acknowledge(await handle.rerun())


@call("StreamHandle.watch")
async def _(stand: Stand) -> None:
    async with aclosing((await _stream(stand)).watch(BRIEFLY)) as states:
        async for _state in states:
            pass


@call("StreamHandle.cancel")
async def _(stand: Stand) -> None:
    await (await _stream(stand, 1000)).cancel()


@call("Node.send")
@call("WorkflowHandle.state")
@call("WorkflowHandle.tree")
async def _(stand: Stand) -> None:
    handle = await _workflow(stand)
    await handle.state()
    await handle.tree()


@call("WorkflowHandle.result")
async def _(stand: Stand) -> None:
    await (await _workflow(stand)).result(BRIEFLY)


@call("WorkflowHandle.wait")
@call("WorkflowHandle.rerun")
async def _(stand: Stand) -> None:
    handle = await _workflow(stand)
    await handle.wait(BRIEFLY)
    stand.acknowledge(await handle.rerun())


@call("WorkflowHandle.watch")
async def _(stand: Stand) -> None:
    async with aclosing((await _workflow(stand)).watch(BRIEFLY)) as states:
        async for _state in states:
            pass


@call("WorkflowHandle.watch_tree")
async def _(stand: Stand) -> None:
    async with aclosing((await _workflow(stand)).watch_tree(BRIEFLY)) as trees:
        async for _tree in trees:
            pass


@call("WorkflowHandle.cancel")
async def _(stand: Stand) -> None:
    await (await _workflow(stand)).cancel()
