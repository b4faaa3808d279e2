"""ExponentialBackoff between attempts."""

from ltq._aio.backoff import ExponentialBackoff


def test_each_is_up_to_twice_as_long_as_the_one_before() -> None:
    pauses = ExponentialBackoff(0.1, 1.0)
    for longest in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0):
        assert longest / 2 <= pauses.next() <= longest


def test_after_a_success_they_begin_anew() -> None:
    pauses = ExponentialBackoff(0.1, 1.0)
    for _ in range(5):
        pauses.next()
    pauses.reset()
    assert pauses.next() <= 0.1


def test_those_of_two_are_not_the_same() -> None:
    pairs = [
        (ExponentialBackoff(1.0, 1.0).next(), ExponentialBackoff(1.0, 1.0).next())
        for _ in range(20)
    ]
    assert any(one != other for one, other in pairs)
