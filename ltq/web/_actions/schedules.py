"""Pausing, resuming and triggering a schedule."""

from ltq.web._actions.act import Act, Done


async def pause(act: Act) -> Done:
    """Let a schedule enqueue nothing."""
    name = act.ask.path["name"]
    await act.ask.board.scheduler.pause(name)
    return Done(f"paused the schedule {name}", "/schedules")


async def resume(act: Act) -> Done:
    """Let a schedule go on."""
    name = act.ask.path["name"]
    await act.ask.board.scheduler.resume(name)
    return Done(f"resumed the schedule {name}", "/schedules")


async def trigger(act: Act) -> Done:
    """Send the task of a schedule now."""
    name = act.ask.path["name"]
    task_id = await act.ask.board.scheduler.trigger(name)
    return Done(f"ran the schedule {name} now: its task is {task_id}", "/schedules")
