"""Firing the slots of a schedule that are due, unless another scheduler has done it."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import NamedTuple

from ltq._cron.expression import Steps
from ltq._scheduler.entry import Entry, QueueIsFullError
from ltq._scheduler.plans import Plan
from ltq._sender.sent import Sent
from ltq.broker import ScheduleSlot, ScheduleStore, SlotReceipt
from ltq.message import Envelope, Published
from ltq.schedule import DueSlots

logger = logging.getLogger("ltq.scheduler")

CATCH_UP = 100
"""Most slots of a schedule that are fired at once: other schedules get their turn in between."""

_STEPS = 20
"""Steps of a computation after which others may run."""


class _SlotCall(NamedTuple):
    """The call for a slot."""

    slot: ScheduleSlot
    envelope: Envelope
    sent: Sent


class Firing:
    """Fires slots for one run of a scheduler, which is `scheduler` for the broker."""

    def __init__(self, store: ScheduleStore, scheduler: str) -> None:
        self._store = store
        self._scheduler = scheduler

    async def begin(self, entry: Entry, now: float) -> None:
        """Learn where a schedule stands. One that is new to the broker begins now."""
        await self._move(entry, None, int(now), now)

    async def fire_due(self, entry: Entry, now: float) -> None:
        """Fire the slots that are due, and skip those that are not to be made up."""
        last = entry.last
        assert last is not None, "`begin` has set it"
        if entry.is_behind(now):
            due = await _in_steps(entry.plan.search_due(last, now, entry.grace(now)))
        else:
            due = DueSlots(tuple(slot for slot in [entry.following(last)] if slot <= now))
        if due.passed is not None:
            _log_missed(entry.plan, due)
            await self._move(entry, last, due.passed, now)
        for begin in range(0, len(due.fired), CATCH_UP):
            chunk = due.fired[begin : begin + CATCH_UP]
            await self._fire_slots(entry, last, chunk, due, now)
            if entry.last != chunk[-1] or entry.is_others:
                return  # others have gone on meanwhile: the next round sees how far
            last = entry.last

    async def _move(self, entry: Entry, last: int | None, slot: int, now: float) -> None:
        """Let a schedule go on after a slot, without a task.

        One that the broker knows already, with `last` None, stays where it is.
        """
        receipt = await self._store.fire(entry.slot(self._scheduler, slot, last))
        entry.note(receipt, now)
        if receipt.taken_over:  # say when the next slot is due
            confirmed = entry.slot(self._scheduler, receipt.last, receipt.last)
            entry.note(await self._store.fire(confirmed), now)

    async def _fire_slots(
        self, entry: Entry, last: int, slots: Sequence[int], due: DueSlots, now: float
    ) -> None:
        """Fire consecutive slots.

        Raises `QueueIsFullError` if there is no room, and the error of a slot that failed; those
        before it are fired.
        """
        calls: list[_SlotCall] = []
        error: BaseException | None = None
        for slot in slots:
            sent = Sent()
            try:
                envelope = entry.plan.envelope(slot, sent)
            except (Exception, SystemExit) as raised:  # also a hook's `sys.exit()`
                error = raised
                break
            call = entry.slot(self._scheduler, slot, last, envelope)
            calls.append(_SlotCall(call, envelope, sent))
            last = slot
        answers = await self._fire_all([call.slot for call in calls])
        failures = [error, *(_answered(entry, *pair) for pair in zip(calls, answers, strict=True))]
        receipts = [answer for answer in answers if isinstance(answer, SlotReceipt)]
        for receipt in receipts:
            entry.note(receipt, now)
        if any(_has_fired(receipt) for receipt in receipts):
            _log_missed(entry.plan, due)
        elif any(receipt.taken_over for receipt in receipts) and entry.last is not None:
            await self._move(entry, entry.last, entry.last, now)
        for failure in failures:
            if failure is not None:
                raise failure

    async def _fire_all(self, calls: Sequence[ScheduleSlot]) -> list[SlotReceipt | BaseException]:
        """Fire slots at the same time; answer with the errors of those that failed."""
        if len(calls) != 1:
            fired = map(self._store.fire, calls)
            return await asyncio.gather(*fired, return_exceptions=True)
        try:
            return [await self._store.fire(calls[0])]
        except Exception as error:
            return [error]


def _answered(
    entry: Entry, call: _SlotCall, answer: SlotReceipt | BaseException
) -> BaseException | None:
    """Tell what the broker did with a slot. Returns the error if nobody has fired it."""
    envelope, name = call.envelope, entry.plan.name
    if isinstance(answer, BaseException):
        call.sent.end(None)
        return answer
    published = answer.published
    call.sent.end(published is Published.CREATED)
    if published is None:  # another scheduler has fired it
        return None
    entry.plan.published(envelope, published)
    logger.debug("schedule %s: %s %s", name, envelope.id, published)
    if published is Published.ID_CONFLICT:
        logger.error("schedule %s: another task has the id %s", name, envelope.id)
    if published is Published.FULL:
        return QueueIsFullError(f"queue {envelope.queue} is full")
    return None


def _has_fired(receipt: SlotReceipt) -> bool:
    """Whether this call has fired the slot."""
    return receipt.published is not None and receipt.published is not Published.FULL


def _log_missed(plan: Plan, due: DueSlots) -> None:
    if due.missed_since is not None:
        since = datetime.fromtimestamp(due.missed_since, plan.zone)
        text = "schedule %s: no scheduler has run since %s: misfire=%s"
        logger.info(text, plan.name, since.isoformat(), plan.misfire)


async def _in_steps(steps: Steps[DueSlots]) -> DueSlots:
    """Compute something while others run."""
    for number in count(1):
        try:
            next(steps)
        except StopIteration as end:
            value: DueSlots = end.value
            return value
        if number % _STEPS == 0:
            await asyncio.sleep(0)
    raise AssertionError("it counts for ever")  # pragma: no cover
