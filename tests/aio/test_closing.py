"""Closing that goes on, whoever is cancelled."""

import asyncio

import pytest

from ltq._aio.closing import Closing


class Door:
    """Takes a moment to close."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.has_begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None
        self.aclose = Closing(self._close, "ltq-door")

    async def _close(self) -> None:
        self.begun += 1
        self.has_begun.set()
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        self.ended += 1


async def begin(door: Door) -> "asyncio.Task[None]":
    """Begin to close a door, until it takes its time."""
    closing = asyncio.ensure_future(door.aclose())
    await door.has_begun.wait()
    return closing


async def test_a_cancelled_caller_only_stops_waiting() -> None:
    door = Door()
    closing = await begin(door)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    door.may_end.set()
    await door.aclose()
    assert (door.begun, door.ended, door.aclose.is_done) == (1, 1, True)


async def test_callers_share_one_close() -> None:
    door = Door()
    first, second = await begin(door), asyncio.ensure_future(door.aclose())
    door.may_end.set()
    await asyncio.gather(first, second)
    await door.aclose()
    assert door.begun == 1


async def test_an_error_is_told_and_the_next_call_tries_again() -> None:
    door = Door()
    door.may_end.set()
    door.error = OSError("jammed")
    with pytest.raises(OSError, match="jammed"):
        await door.aclose()
    door.error = None
    await door.aclose()
    assert (door.begun, door.ended) == (2, 1)


def test_one_that_was_cut_off_with_its_loop_is_repeated() -> None:
    doors: list[Door] = []

    async def leave() -> None:
        doors.append(Door())
        (await begin(doors[0])).cancel()

    asyncio.run(leave())
    (door,) = doors
    assert not door.aclose.is_done

    async def again() -> None:
        door.may_end = asyncio.Event()
        door.may_end.set()
        await door.aclose()

    asyncio.run(again())
    assert door.ended == 1
