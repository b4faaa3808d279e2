"""The pause before the next try."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq.errors import ConfigurationError
from ltq.middleware._retry_delay import DEFAULT_BASE, LONGEST, next_pause
from ltq.options import MAX_SECONDS

bases = st.floats(1e-6, MAX_SECONDS) | st.timedeltas(timedelta(milliseconds=1), timedelta(days=9))


def longest(low: float, high: float) -> float:
    """Chance at its worst."""
    return high


def shortest(low: float, high: float) -> float:
    """Chance at its best."""
    return low


def as_seconds(base: float | timedelta) -> float:
    return base.total_seconds() if isinstance(base, timedelta) else base


class TestExponential:
    @given(st.none() | bases, st.integers(1, 10**6))
    def test_it_is_within_the_bounds_of_full_jitter(
        self, backoff: float | timedelta | None, failed: int
    ) -> None:
        base = DEFAULT_BASE if backoff is None else as_seconds(backoff)
        bound = min(LONGEST, base * 2.0 ** min(failed - 1, 500))
        assert 0 <= next_pause(backoff, failed) <= bound

    @given(bases, st.integers(1, 10**6))
    def test_it_may_be_as_short_as_nothing(self, backoff: float | timedelta, failed: int) -> None:
        assert next_pause(backoff, failed, uniform=shortest) == 0

    @given(bases, st.integers(1, 30))
    def test_its_bound_doubles_up_to_the_longest(
        self, backoff: float | timedelta, failed: int
    ) -> None:
        bound = next_pause(backoff, failed, uniform=longest)
        assert bound == min(LONGEST, as_seconds(backoff) * 2 ** (failed - 1))
        assert next_pause(backoff, failed + 1, uniform=longest) == min(LONGEST, 2 * bound)

    @pytest.mark.parametrize("backoff", [0, 0.0, timedelta(0)])
    def test_of_nothing_is_no_pause(self, backoff: float | timedelta) -> None:
        bounds = [next_pause(backoff, failed, uniform=longest) for failed in (1, 2, 100)]
        assert bounds == [0, 0, 0]

    def test_the_default_is_about_a_second_doubling(self) -> None:
        bounds = [next_pause(None, failed, uniform=longest) for failed in (1, 2, 3, 4)]
        assert bounds == [1, 2, 4, 8]

    def test_three_default_pauses_fit_in_40_seconds(self) -> None:
        assert sum(next_pause(None, failed, uniform=longest) for failed in (1, 2, 3)) <= 40

    def test_the_same_try_does_not_pause_the_same_every_time(self) -> None:
        assert len({next_pause(10, 3) for _ in range(20)}) > 1


class TestFunction:
    @given(st.floats(0, 3e9) | st.integers(0, 10**9), st.integers(1, 10**6))
    def test_what_it_returns_counts(self, pause: float, failed: int) -> None:
        got = next_pause(lambda _: pause, failed)
        assert got == pause
        assert isinstance(got, float)

    def test_it_is_told_how_many_tries_have_failed(self) -> None:
        assert [next_pause(lambda failed: 2.5 * failed, failed) for failed in (1, 2, 7)] == [
            2.5,
            5.0,
            17.5,
        ]

    @pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf, -1, -0.001, None, "5", [5]])
    def test_what_is_no_duration_is_refused(self, answer: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            next_pause(lambda _: answer, 1)
        allowed = "seconds, 0 or more, at most a century"
        assert str(caught.value) == f"backoff(1)={answer!r} is not allowed: {allowed}"

    def test_its_own_error_is_not_hidden(self) -> None:
        with pytest.raises(ZeroDivisionError):
            next_pause(lambda failed: 1 / (failed - 1), 1)

    def test_a_class_may_be_one(self) -> None:
        class Linear:
            def __call__(self, failed: int) -> float:
                return float(failed)

        assert next_pause(Linear(), 3) == 3.0


@pytest.mark.parametrize("base", [-1, math.nan, math.inf, timedelta(-1)])
def test_a_wrong_base_is_refused(base: Any) -> None:
    with pytest.raises(ConfigurationError, match="backoff="):
        next_pause(base, 1)
