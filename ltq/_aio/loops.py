"""The running event loop, and a clear error where there is none."""

import asyncio
import sys

from ltq.errors import ConfigurationError


class NoEventLoopError(ConfigurationError, RuntimeError):
    """No event loop of asyncio runs here. asyncio itself raises a `RuntimeError`."""


def loop_here() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if there is one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop that runs in this thread.

    Raises a `ConfigurationError` that says what to use if there is none, or if trio runs here.
    """
    try:  # not by `loop_here`: each send comes here
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    if trio_runs():
        raise NoEventLoopError(
            "no running event loop of asyncio: LTQ needs one, and trio runs here. In trio, use the "
            "synchronous calls in a thread: await trio.to_thread.run_sync(task.send_sync, ...)"
        )
    raise NoEventLoopError(
        "no running event loop: await this within one, as in asyncio.run(main()), or use the "
        "synchronous calls, such as task.send_sync(...)"
    )


def trio_runs() -> bool:
    """Whether trio runs in this thread."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
