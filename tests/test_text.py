"""What is kept of a long text."""

import pytest

from ltq._text import MAX_TEXT, cut


@pytest.mark.parametrize("text", ["", "x", "x" * MAX_TEXT, "ü" * (MAX_TEXT // 2)])
def test_a_text_that_fits_is_not_touched(text: str) -> None:
    assert cut(text) == text


def test_what_no_broker_can_store_becomes_an_escape() -> None:
    assert cut("caf\udce9 ü") == "caf\\udce9 ü"


@pytest.mark.parametrize("letter", ["x", "ü", "€", "😀", "\udcff"])
@pytest.mark.parametrize("count", [MAX_TEXT + 1, 100_001])
def test_a_longer_one_keeps_its_beginning_and_its_end(letter: str, count: int) -> None:
    kept = cut(f"begin{letter * count}end")
    assert MAX_TEXT - 8 <= len(kept.encode()) <= MAX_TEXT
    assert kept.startswith("begin")
    assert kept.endswith("end")
    assert "bytes cut" in kept


def test_what_is_cut_is_not_cut_again() -> None:
    kept = cut("x" * 1_000_000)
    assert cut(kept) is kept


def test_it_says_how_much_is_gone() -> None:
    text = "a" * 30_000
    kept = cut(text, 1000)
    gone = int(kept.split("[... ")[1].split(" bytes")[0])
    assert kept.count("a") + gone == len(text)
