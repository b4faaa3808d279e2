"""Pausing, resuming and clearing a queue."""

from ltq.web._actions.act import Act, Done
from ltq.web._pages.page import check_queue


async def pause(act: Act) -> Done:
    """Let nothing of a queue be claimed."""
    queue, path = await _queue(act)
    await act.ask.board.broker.pause(queue)
    return Done(f"paused the queue {queue}", path)


async def resume(act: Act) -> Done:
    """Let a queue go on."""
    queue, path = await _queue(act)
    await act.ask.board.broker.resume(queue)
    return Done(f"resumed the queue {queue}", path)


async def clear(act: Act) -> Done:
    """Remove all waiting tasks of a queue, if its name was typed."""
    queue, path = await _queue(act)
    if act.get("name") != queue:
        typed = act.get("name") or "nothing"
        return Done(
            f"did not clear the queue {queue}: its name has to be typed, and {typed} was",
            path,
            changed=False,
        )
    count = await act.ask.board.broker.clear(queue)
    return Done(f"cleared the queue {queue}: {count} waiting tasks are removed", path)


async def _queue(act: Act) -> tuple[str, str]:
    queue = act.ask.path["queue"]
    await check_queue(act.ask, queue)
    return queue, f"/queues/{queue}"
