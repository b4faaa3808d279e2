"""`ltq history`: the last minutes of a queue."""

import json
from collections import Counter

import pytest
from rich.console import Console

from ltq.broker import Broker, minute_of, run_figures, wait_figures
from ltq.cli.history._view import print_history
from ltq.message import Envelope, Finish
from ltq.names import new_id
from ltq.state import Minute, Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Done

QUEUE = "mail:send"


async def ltq(redis_url: str, *arguments: str) -> Done:
    return await call_ltq(*arguments, env={"LTQ_BROKER_URL": redis_url})


async def fill(broker: Broker) -> None:
    """Three tasks that completed."""
    sent = [Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"{}") for _ in range(3)]
    await broker.publish(sent)
    async with broker.consumer([QUEUE]) as consumer:
        deliveries = await broker.claim(consumer, 3)
        await broker.finish([Finish(one.lease, Status.COMPLETED) for one in deliveries])


async def test_a_line_for_each_figure(redis_url: str, broker: Broker) -> None:
    await fill(broker)
    done = await ltq(redis_url, "history", QUEUE)
    rows = [line.split() for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert rows[2][0] == "completed"
    assert rows[2][-1] == "3"
    names = ["completed", "failed", "rejected", "cancelled", "retried"]
    assert [row[0] for row in rows[2:7]] == names
    assert [row[:2] for row in rows[8:]] == [
        [kind, name] for kind in ("wait", "run") for name in ("p50", "p95", "p99")
    ]


async def test_json_has_all_minutes(redis_url: str, broker: Broker) -> None:
    await fill(broker)
    done = await ltq(redis_url, "history", QUEUE, "--minutes", "3", "--json")
    minutes = json.loads(done.out)
    assert [minute["time"] - minutes[0]["time"] for minute in minutes] == [0, 60, 120]
    assert sum(minute["completed"] for minute in minutes) == 3
    assert sum(minute["run"]["count"] for minute in minutes) == 3
    assert {*minutes[0]["wait"]} == {"count", "sum", "p50", "p95", "p99"}


async def test_a_queue_in_which_nothing_happened(redis_url: str, broker: Broker) -> None:
    sent = Envelope(id=new_id(), queue=QUEUE, task_name=QUEUE, body=b"{}")
    await broker.publish([sent])
    done = await ltq(redis_url, "history", QUEUE, "--minutes", "1")
    assert done == Done(0, f"{QUEUE}: nothing has happened in the last 1 minute\n", "")


async def test_an_unknown_queue_is_told(redis_url: str, broker: Broker) -> None:
    await fill(broker)
    done = await ltq(redis_url, "history", "mail:sent")
    assert (done.code, done.out) == (1, "")
    assert done.err == "ltq: there is no queue 'mail:sent': did you mean mail:send?\n"


@pytest.mark.parametrize("minutes", ["0", "1441", "x"])
async def test_a_number_that_cannot_be_is_wrong_use(redis_url: str, minutes: str) -> None:
    done = await ltq(redis_url, "history", QUEUE, "--minutes", minutes)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ltq: invalid value for '--minutes'")


@pytest.mark.parametrize("count", [1, 47, 48, 49, 60, 1440])
def test_it_fits_80_columns_and_24_lines(capsys: pytest.CaptureFixture[str], count: int) -> None:
    print_history(Console(width=80), QUEUE, [busy(number) for number in range(count)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "most" in lines[1]


def busy(number: int) -> Minute:
    """A minute in which much happened."""
    figures = Counter(completed=100_000 + number, failed=number % 3)
    for seconds in (0.0001, 0.02, 3.0, 400.0, 50_000.0):
        figures.update(wait_figures(seconds))
        figures.update(run_figures(seconds / 7))
    return minute_of(number, figures)
