"""What the pages of comparison call equal is tried: pauses between tries, and options of tasks."""

import itertools
import random
import re
from collections.abc import Callable

import pytest

import ltq
import ltq.testing
from ltq.options import Backoff, called_backoff, parse_task_options
from tests.docs.pages import DOCS

PAGES = sorted((DOCS / "coming-from").glob("*.md"))
SPAN = re.compile(r"`([^`\n]+)`")
OPTIONS = re.compile(r"(?:max_tries|backoff|retry_on|timeout|max_age|result_ttl|max_running)=.*")
FUNCTION = re.compile(r"backoff=(lambda.*)")
LINES = [line for page in PAGES for line in page.read_text("utf-8").splitlines()]
SPANS = [span for line in LINES for span in SPAN.findall(line)]
RIGHT = [span for line in LINES if " | " in line for span in SPAN.findall(line.split(" | ", 1)[1])]
"""What is in the right columns: LTQ's."""


def row(page: str, left: str) -> str:
    """The right column of the row whose left one begins so."""
    text = (DOCS / "coming-from" / f"{page}.md").read_text("utf-8")
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {left}")]
    return found.split(" | ", 1)[1]


def pause_of(page: str, left: str) -> Callable[[int], float]:
    """The function in a row."""
    match = FUNCTION.search(next(filter(FUNCTION.search, SPAN.findall(row(page, left)))))
    assert match is not None
    backoff: Callable[[int], object] = eval(match[1], {"random": random})
    return lambda failed: called_backoff(backoff, failed)


@pytest.mark.parametrize("span", sorted({span for span in RIGHT if OPTIONS.fullmatch(span)}))
def test_options_are_options(span: str) -> None:
    names = {"ltq": ltq, "random": random}
    parse_task_options(eval(f"dict({span})", names))


@pytest.mark.parametrize(
    "text", sorted({match[1] for span in SPANS if (match := FUNCTION.search(span))})
)
def test_a_function_returns_a_pause_for_each_try(text: str) -> None:
    backoff: Backoff = eval(text, {"random": random})
    task = ltq.Worker("pauses", broker_url="memory://pauses").task(name="work", backoff=backoff)
    declared = task(lambda: None).config.backoff
    assert callable(declared)
    for failed in range(1, 100):
        assert 0 <= called_backoff(declared, failed) <= 3600


def test_a_list_of_intervals_of_rq() -> None:
    pause = pause_of("rq", "`retry=Retry(max=3, interval=[10, 30, 60])`")
    assert [pause(failed) for failed in (1, 2, 3)] == [10.0, 30.0, 60.0]
    assert {pause(failed) for failed in range(4, 30)} == {60.0}


def test_one_interval_of_rq() -> None:
    pause = pause_of("rq", "`retry=Retry(max=3, interval=10)`")
    assert {pause(failed) for failed in range(1, 30)} == {10.0}


def test_a_cap_of_saq() -> None:
    """saq: `min(cap, delay * 2 ** (attempts - 1)) * uniform(0.5, 1)`."""
    pause = pause_of("saq", "`retry_delay=1, retry_backoff=60`")
    for failed, _ in itertools.product(range(1, 20), range(20)):
        longest = min(60, 2.0 ** (failed - 1))
        assert longest / 2 <= pause(failed) <= longest


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("celery", "`raise self.retry(countdown=5, exc=error)`"),
        ("rq", "`return Retry(max=3, interval=5)`"),
        ("arq", "`raise Retry(defer=5)`"),
    ],
)
def test_who_asks_for_a_retry_is_told_to_bound_it(page: str, left: str) -> None:
    assert "`raise ltq.RetryError(delay=5)" in row(page, left)
    assert "max_tries" in row(page, left)
    assert "without end" in row(page, left)


async def test_a_retry_that_is_bounded_ends() -> None:
    runs: list[int] = []
    worker = ltq.Worker("bounded", broker_url="memory://bounded")

    @worker.task(max_tries=4)
    async def work() -> None:
        runs.append(ltq.current().attempt)
        raise ltq.RetryError(delay=5) from ValueError("again")

    async with ltq.testing.use(worker) as box:
        handle = await work.send()
        await box.clock.advance(minutes=1)
        state = await handle.state()
    assert runs == [1, 2, 3, 4]
    assert (state.status, state.error) == (ltq.Status.FAILED, "ValueError: again")


def test_a_probe_that_asks_for_a_worker() -> None:
    for page, left in (
        ("saq", "`saq --check`"),
        ("arq", "`arq --burst`, `--watch DIR`, `--check`"),
    ):
        assert "`ltq check --alive`" in row(page, left)
