"""What the pages show."""

import asyncio
import re
from typing import Any

import pytest

import ltq
from ltq.message import DeadLetter, Envelope
from ltq.state import Page, Status, TaskDetail
from ltq.web import dashboard
from tests.eventually import eventually
from tests.web.boards import Board, browse, open_board, serve, text_of


async def ended(board: Board, name: str, *args: Any, **kwargs: Any) -> str:
    """The id of a task of the shop that has run."""
    task = board.worker.tasks[f"shop:{name}"]
    async with board.worker:
        handle = await task.send(*args, **kwargs)
        await handle.wait(timeout=5)
    return handle.id


async def lone_letter(board: Board, *args: Any, **kwargs: Any) -> DeadLetter:
    """A dead letter of a task whose state is not kept."""
    task = board.worker.tasks["shop:checkout"].with_options(result_ttl=0)

    async def letters() -> list[DeadLetter]:
        return await board.broker.dead_letters("shop:checkout")

    async with board.worker:
        handle = await task.send(*args, **kwargs)
        await eventually(letters)
    assert await board.broker.states("shop:checkout", [handle.id]) == [None]
    return (await letters())[0]


async def listed(board: Board) -> bool:
    """Whether the broker knows of the worker, which says so a moment after its start."""
    return bool(await board.broker.workers())


class TestOverview:
    async def test_an_empty_broker_says_what_to_do(self, board: Board) -> None:
        assert "There are no queues yet" in await board.text("/")

    async def test_it_shows_totals_and_each_queue(self, board: Board) -> None:
        note = board.worker.tasks["shop:note"]
        await note.send("one")
        await note.with_options(delay=60).send("two")
        await board.broker.pause("shop:note")
        text = await board.text("/")
        assert re.search(r"Waiting 1 Running 0 Delayed 1 ", text), text
        assert re.search(r"shop: note paused 1 0 s 0 1 0 0 quiet", text), text

    async def test_it_shows_live_and_silent_workers_and_slots(self, board: Board) -> None:
        async with board.worker:
            await eventually(lambda: listed(board))
            text = await board.text("/")
        assert "of 4 slots" in text
        assert "Workers 1 alive" in text

    async def test_it_shows_what_fails_and_what_doctor_finds(self, board: Board) -> None:
        await ended(board, "checkout", -1)
        first = await board.text("/")
        text = first if "Failing" in first else await board.text("/")
        assert "ValueError: order -… is negative 1" in text
        assert "in the memory of one process" in text

    async def test_many_queues_are_shown_page_by_page_and_found_by_name(self, board: Board) -> None:
        envelopes = [
            Envelope(id=f"id-{n}", queue=f"queue-{n:03}", task_name="t", body=b"[[],{}]")
            for n in range(60)
        ]
        await board.broker.publish(envelopes)
        text = await board.text("/?sort=name")
        assert "queue-000" in text
        assert "queue-030" not in text
        assert "page 1 of 3" in text
        assert "queue-030" in await board.text("/?sort=name&page=2")
        assert "queue-055" in await board.text("/?find=55")
        assert "No queue has “nope” in its name" in await board.text("/?find=nope")

    async def test_it_costs_the_broker_few_calls_however_many_queues(
        self, board: Board, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        envelopes = [
            Envelope(id=f"id-{n}", queue=f"queue-{n:04}", task_name="t", body=b"[[],{}]")
            for n in range(500)
        ]
        await board.broker.publish(envelopes)
        calls = count_calls(board, monkeypatch)
        await board.page("/")
        assert calls["stats"] <= 3  # one of the page, those of the doctor
        assert calls["history"] <= 25


def count_calls(board: Board, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often the dashboard calls each method of the broker, from now on."""
    calls: dict[str, int] = {}
    for name in ("stats", "queues", "history", "workers", "tasks", "states", "dead_letters"):
        calls[name] = 0
        original = getattr(board.broker, name)

        def counted(*args: Any, _name: str = name, _call: Any = original, **named: Any) -> Any:
            calls[_name] += 1
            return _call(*args, **named)

        monkeypatch.setattr(board.broker, name, counted)
    return calls


class TestQueue:
    async def test_it_lists_tasks_with_their_arguments(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("hello", level="high")
        assert "pending" in (text := await board.text("/queues/shop:note"))
        assert '"hello", level="high"' in text

    async def test_a_tab_shows_one_status_and_keeps_the_filters(self, board: Board) -> None:
        note = board.worker.tasks["shop:note"]
        await note.with_options(tags=("a",)).send("first")
        await note.with_options(tags=("b",), delay=60).send("second")
        page = await board.page("/queues/shop:note?tag=b")
        assert "second" in page
        assert "first" not in page
        assert 'href="?status=delayed&amp;tag=b"' in page
        assert "second" in await board.text("/queues/shop:note?status=delayed&tag=b")
        assert "No task is" in await board.text("/queues/shop:note?status=failed")
        assert "No task matches" in await board.text("/queues/shop:note?status=pending&tag=b")

    async def test_pages_follow_one_another_by_cursors(self, board: Board) -> None:
        note = board.worker.tasks["shop:note"]
        await note.send_many([note.message(f"text {n:03}") for n in range(120)])
        seen: list[str] = []
        path = "/queues/shop:note"
        for _ in range(3):
            page = await board.page(path)
            seen += re.findall(r"text \d{3}", page)
            found = re.search(r'rel="next" href="([^"]+)"', page)
            path = f"/queues/shop:note{found[1].replace('&amp;', '&')}" if found else ""
        assert seen == [f"text {n:03}" for n in range(120)]
        assert path == ""

    async def test_a_spoilt_cursor_or_tag_is_told(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        assert "cursor" in await board.text("/queues/shop:note?cursor=abc", 400)
        assert "tag" in await board.text("/queues/shop:note?tag=%20%3C", 400)

    async def test_an_unknown_queue_is_a_page_that_helps(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        page = await board.page("/queues/shop:nite", 404)
        assert "There is no queue “shop:nite”" in text_main(page)
        assert f'href="../../{board.key}/queues/shop:note"' in page

    async def test_it_says_that_nobody_serves_it(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        assert "No live worker serves this queue" in await board.text("/queues/shop:note")
        async with board.worker:
            await eventually(lambda: listed(board))
            assert "No live worker" not in await board.text("/queues/shop:note")


def text_main(page: str) -> str:
    from tests.web.boards import text_of

    return text_of(page)


class TestTask:
    async def test_a_failed_one_shows_error_traceback_arguments_and_timeline(
        self, board: Board
    ) -> None:
        task_id = await ended(board, "checkout", -3, email="a@b.c")
        text = await board.text(f"/queues/shop:checkout/tasks/{task_id}")
        assert "ValueError: order -3 is negative" in text
        assert "Traceback (most recent call last)" in text
        assert 'Arguments -3 email="a@b.c"' in text
        assert re.search(r"sent \d s ago claimed by [\w.-]+ \d s ago failed \d s ago", text), text
        assert "Failed runs 1 of 1" in text

    async def test_a_completed_one_shows_its_result(self, board: Board) -> None:
        task_id = await ended(board, "checkout", 7, email="a@b.c")
        text = await board.text(f"/queues/shop:checkout/tasks/{task_id}")
        assert 'Result { "order": 7, "email": "a@b.c" }' in text
        assert "They are not kept" in text

    async def test_progress_is_a_bar_and_words(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        async with board.broker.consumer(["shop:note"]) as consumer:
            (delivery,) = await board.broker.claim(consumer, 1)
            progress = ltq.Progress(3, 12, "page 3")
            await board.broker.progress(delivery.lease, progress)
            page = await board.page(f"/queues/shop:note/tasks/{delivery.lease.id}")
        assert '<progress max="100" value="25"' in page
        assert "3 of 12 page 3" in text_main(page)

    async def test_it_can_be_copied_as_a_command(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("it's", level="high")
        text = await board.text(f"/queues/shop:note/tasks/{handle.id}")
        assert """ltq send MODULE:WORKER.note --args '["it'"'"'s"]' --kwargs """ in text

    async def test_a_dead_letter_without_a_state_is_a_task_still(self, board: Board) -> None:
        letter = await lone_letter(board, -1)
        text = await board.text(f"/queues/shop:checkout/tasks/{letter.id}")
        assert "dead letter" in text
        assert "ValueError: order -1 is negative" in text

    async def test_it_says_how_often_it_came_back(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        path = f"/queues/shop:note/tasks/{handle.id}"
        text = ""
        async with board.broker.consumer(["shop:note"]) as consumer:
            for count in range(1, 4):
                (delivery,) = await board.broker.claim(consumer, 1)
                await board.broker.requeue(delivery.lease)
                text = await board.text(path)
                assert ("for the" in text) is (count > 1)
        assert "back in its queue, for the 3rd time" in text

    @pytest.mark.parametrize("task_id", ["nobody", "a%20b", "%00", "x" * 300])
    async def test_an_unknown_one_is_a_page_that_helps(self, board: Board, task_id: str) -> None:
        await board.worker.tasks["shop:note"].send("x")
        text = await board.text(f"/queues/shop:note/tasks/{task_id}", 404)
        assert "There is no task" in text
        assert "search for it" in text


class TestDead:
    async def test_letters_are_grouped_by_task_and_error(self, board: Board) -> None:
        async with board.worker:
            for order in (-1, -2, -3):
                await (await board.worker.tasks["shop:checkout"].send(order)).wait(timeout=5)
        text = await board.text("/dead")
        assert "shop: checkout ValueError: order -… is negative 3" in text
        wanted = "ValueError: order -… is negative"
        answer = await board.client.get(f"/{board.key}/dead", params={"fault": wanted})
        assert "3 that match" in text_main(answer.text)

    async def test_all_that_match_are_counted_first(self, board: Board) -> None:
        await ended(board, "checkout", -1)
        text = await board.text("/dead/confirm?do=purge&task=shop:checkout")
        assert "Purge 1 dead letter?" in text
        assert len(await board.broker.dead_letters("shop:checkout")) == 1

    async def test_none_is_explained(self, board: Board) -> None:
        assert "There are no dead letters" in await board.text("/dead")


class TestRows:
    async def test_a_task_that_has_ended_shows_its_outcome(self, board: Board) -> None:
        await ended(board, "note", "a text")
        await ended(board, "checkout", -1)
        await ended(board, "tidy")  # it returns nothing
        assert '→ "a text"' in await board.text("/queues/shop:note")
        assert "ValueError: order -1 is negative" in await board.text("/queues/shop:checkout")
        assert "→" not in await board.text("/queues/shop:tidy")

    async def test_a_result_is_redacted(self, shop: ltq.Worker[Any]) -> None:
        async with open_board(shop, redact=lambda _, value: "hidden") as board:
            await ended(board, "note", "a text")
            text = await board.text("/queues/shop:note")
        assert '→ "hidden"' in text
        assert "a text" not in text


class TestWorkersAndSchedules:
    async def test_a_worker_is_shown_with_its_slots_and_queues(self, board: Board) -> None:
        assert "No worker is alive" in await board.text("/workers")
        async with board.worker:
            await eventually(lambda: listed(board))
            text = await board.text("/workers")
        assert "alive" in text
        assert "0 of 4" in text
        assert "shop: checkout" in text

    async def test_a_schedule_is_shown_with_its_runs(self, board: Board) -> None:
        text = await board.text("/schedules")
        assert "tidy 0 3 * * * UTC shop: tidy in" in text
        assert "never code" in text

    async def test_none_is_explained(self, board: Board) -> None:
        worker: ltq.Worker[Any] = ltq.Worker("bare", broker=board.broker)
        async with open_board(worker) as bare:
            assert "There are no schedules here" in await bare.text("/schedules")


class TestSearch:
    async def test_an_id_is_found_in_any_queue(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:note"].send("x")
        assert f"{handle.id} shop: note" in await board.text(f"/search?q={handle.id}")

    async def test_the_beginning_of_an_id_and_a_text_in_arguments_are_found(
        self, board: Board
    ) -> None:
        handle = await board.worker.tasks["shop:note"].send("a needle in hay")
        await board.worker.tasks["shop:note"].send("hay")
        text = await board.text(f"/search?q={handle.id[:18]}")
        assert f"{handle.id} shop: note" in text
        text = await board.text("/search?q=Needle")
        assert f"{handle.id} shop: note" in text
        assert "Looked at 2 tasks." in text

    async def test_no_more_is_read_of_a_queue_than_is_looked_at(
        self, board: Board, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.web._pages.search._MOST_LOOKED_AT", 6)
        await board.worker.tasks["shop:note"].send_many(
            [board.worker.tasks["shop:note"].message("x") for _ in range(9)]
        )
        await board.worker.tasks["shop:checkout"].send(1)
        limits: list[int] = []
        tasks = board.broker.tasks

        async def counted(queue: str, *, limit: int, cursor: str | None) -> Page[TaskDetail]:
            limits.append(limit)
            return await tasks(queue, limit=limit, cursor=cursor)

        monkeypatch.setattr(board.broker, "tasks", counted)
        assert "of about 10 tasks" in await board.text("/search?q=needle")
        assert limits
        assert max(limits) <= 6

    async def test_others_go_on_while_it_looks(self, shop: ltq.Worker[Any]) -> None:
        """It works in the event loop of the application around, and arguments may be large."""
        turns, seen = 0, set[int]()

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        def redact(_: str, value: Any) -> Any:
            seen.add(turns)
            return value

        note = shop.tasks["shop:note"]
        await note.send_many([note.message("x") for _ in range(50)])
        async with open_board(shop, redact=redact) as board:
            going = asyncio.ensure_future(others())
            await board.text("/search?q=needle")
            going.cancel()
        assert len(seen) >= 5

    async def test_a_dead_letter_is_found_by_its_arguments(self, board: Board) -> None:
        task_id = await ended(board, "checkout", -1, email="find@me")
        assert f"{task_id} shop: checkout" in await board.text("/search?q=find@me")

    async def test_so_is_one_whose_state_is_gone(self, board: Board) -> None:
        letter = await lone_letter(board, -1, email="find@me")
        for wanted in ("find@me", letter.id):
            text = await board.text(f"/search?q={wanted}")
            assert f"{letter.id} shop: checkout" in text

    async def test_what_matches_is_shown_on_one_line(self, board: Board) -> None:
        task_id = await ended(board, "checkout", -99)
        email = f"{'hay ' * 200}needle{' hay' * 99}"
        await board.worker.tasks["shop:checkout"].send(7, email=email)
        text = await board.text("/search?q=needle")
        assert re.search(r"…[hay ]{50,60}needle[hay ]{80,}…", text), text
        assert '7, email="hay' in await board.text("/search?q=email")
        assert "ValueError: order -99 is negative" in await board.text("/search?q=is%20negative")
        text = await board.text(f"/search?q={task_id}")
        assert f"{task_id} shop: checkout ValueError: order -99 is negative id" in text

    async def test_it_says_how_much_it_has_looked_at(
        self, board: Board, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.web._pages.search._MOST_LOOKED_AT", 30)
        note = board.worker.tasks["shop:note"]
        await note.send_many([note.message("hay") for _ in range(50)])
        text = await board.text("/search?q=needle")
        assert "Looked at 30 of about 50 tasks" in text
        assert "Nothing was found so far" in text


class TestSite:
    async def test_an_unknown_page_or_broker_helps(self, board: Board) -> None:
        assert "There is no such page here." in await board.text("/nope", 404)
        answer = await board.client.get("/other/")
        assert (answer.status_code, f"the broker {board.key}" in answer.text) == (404, True)

    async def test_several_brokers_are_listed_and_chosen(self, shop: ltq.Worker[Any]) -> None:
        other: ltq.Worker[Any] = ltq.Worker("mail", broker_url="memory://other")
        async with (
            serve(dashboard(shop, other, authorize=None)) as url,
            browse(url) as client,
        ):
            listed = await client.get("/")
            assert 'href="./other/"' in listed.text
            assert (await client.get("/other/")).status_code == 200

    @pytest.mark.slow
    async def test_of_several_one_that_is_away_is_told(self, shop: ltq.Worker[Any]) -> None:
        away: ltq.Worker[Any] = ltq.Worker("mail", broker_url="redis://127.0.0.1:1")
        async with (
            serve(dashboard(shop, away, authorize=None)) as url,
            browse(url) as client,
        ):
            listed = text_of((await client.get("/", timeout=30)).text)
            assert "Redis at 127.0.0.1:1 " in listed
        await away.broker.aclose()

    async def test_a_page_is_whole_without_scripts(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        page = await board.page("/queues/shop:note")
        assert "<!doctype html>" in page
        assert "shop:" in page.partition("<main")[2]

    async def test_head_is_answered(self, board: Board) -> None:
        answer = await board.client.head(f"/{board.key}/")
        assert (answer.status_code, answer.text) == (200, "")


async def test_statuses_differ_by_word_and_shape_too(board: Board) -> None:
    """Each status has its own icon."""
    from ltq.web._view.render import _environment

    template = _environment().from_string(
        '{% import "_macros.html" as m with context %}{{ m.icon(name) }}'
    )
    icons = {template.render(name=status.value) for status in Status}
    assert len(icons) == len(Status)
    await asyncio.sleep(0)
