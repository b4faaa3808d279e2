"""Texts that users and libraries write: what is kept of long ones."""

import pytest

from ltq.broker import Broker
from ltq.message import Delivery, Failure, Finish, Receipt, Requeue
from ltq.state import Progress, Status
from ltq.testing.conformance._seam.finish import HasDelivery
from ltq.testing.conformance._support.factories import QUEUE

_KEPT = 16 * 1024
"""Most bytes of UTF-8 that are kept of a text."""

_LENGTHS = (_KEPT, 1_000_000)


def _long(length: int, letter: str = "x") -> str:
    return f"begin {letter * length} end"


def _is_cut(text: str | None) -> bool:
    """Whether a text is short, and has its beginning, its end, and a word that it was cut."""
    assert text is not None
    is_short = len(text.encode()) <= _KEPT
    return is_short and text.startswith("begin") and text.endswith("end") and "bytes cut" in text


class TestLongTexts(HasDelivery):
    @pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
    async def test_of_a_failure_beginning_and_end_are_kept(
        self, broker: Broker, delivery: Delivery, status: Status
    ) -> None:
        failure = Failure(_long(_KEPT), _long(1_000_000), _long(1_000_000, "ü"))
        outcome = Finish(delivery.lease, status, failure=failure, dead=True)
        assert await broker.finish([outcome]) == [Receipt.OK]
        state = await broker.state(QUEUE, delivery.lease.id)
        letter = await broker.dead_letter(QUEUE, delivery.lease.id)
        for kept in (state, letter):
            assert _is_cut(kept.error)
            assert _is_cut(kept.error_type)
            assert _is_cut(kept.traceback)

    async def test_also_of_a_run_that_is_repeated(self, broker: Broker, delivery: Delivery) -> None:
        outcome = Requeue(delivery.lease, failed=True, failure=Failure("E", _long(_KEPT)))
        assert await broker.finish([outcome]) == [Receipt.OK]
        assert _is_cut((await broker.state(QUEUE, delivery.lease.id)).error)

    @pytest.mark.parametrize("length", _LENGTHS)
    async def test_also_of_a_progress_note(
        self, broker: Broker, delivery: Delivery, length: int
    ) -> None:
        assert await broker.progress(delivery.lease, Progress(1.0, note=_long(length, "ü")))
        progress = (await broker.state(QUEUE, delivery.lease.id)).progress
        assert progress is not None
        assert _is_cut(progress.note)

    async def test_one_that_fits_is_kept_whole(self, broker: Broker, delivery: Delivery) -> None:
        text = "x" * _KEPT
        await broker.progress(delivery.lease, Progress(1.0, note=text))
        progress = (await broker.state(QUEUE, delivery.lease.id)).progress
        assert progress == Progress(1.0, note=text)
        await broker.finish([Finish(delivery.lease, Status.FAILED, failure=Failure("", text))])
        assert (await broker.state(QUEUE, delivery.lease.id)).error == text


class TestTextsThatAreNotUnicode(HasDelivery):
    """Names of files that are not UTF-8 have lone surrogates, which cannot be stored."""

    async def test_those_of_a_failure_become_escapes(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        failure = Failure("E", "E: caf\udce9", "in caf\udce9")
        await broker.finish([Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)])
        state = await broker.state(QUEUE, delivery.lease.id)
        letter = await broker.dead_letter(QUEUE, delivery.lease.id)
        for kept in (state, letter):
            assert (kept.error, kept.traceback) == ("E: caf\\udce9", "in caf\\udce9")

    async def test_those_of_a_progress_note_become_escapes(
        self, broker: Broker, delivery: Delivery
    ) -> None:
        assert await broker.progress(delivery.lease, Progress(1.0, note="caf\udce9"))
        state = await broker.state(QUEUE, delivery.lease.id)
        assert state.progress == Progress(1.0, note="caf\\udce9")
