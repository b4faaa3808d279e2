"""What the forms do, what is said of it, and who is named in the log."""

import re
from typing import Any

import pytest
from starlette.requests import Request

import ltq
from ltq.state import Status
from ltq.web import Access
from tests.web.boards import Board, open_board


async def dead(board: Board, *orders: int) -> list[str]:
    """The ids of tasks that have failed."""
    async with board.worker:
        handles = [await board.worker.tasks["shop:checkout"].send(order) for order in orders]
        for handle in handles:
            await handle.wait(timeout=5)
    return [handle.id for handle in handles]


async def status(board: Board, queue: str, task_id: str) -> Status:
    return (await board.broker.state(queue, task_id)).status


class TestQueue:
    async def test_it_is_paused_and_resumed(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        assert await board.said("/queues/shop:note/pause") == "paused the queue shop:note"
        assert (await board.broker.stats(["shop:note"]))[0].paused
        assert await board.said("/queues/shop:note/resume") == "resumed the queue shop:note"
        assert not (await board.broker.stats(["shop:note"]))[0].paused

    async def test_the_filters_of_the_page_are_kept(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        answer = await board.post("/queues/shop:note/pause", back="status=pending&tag=a")
        assert answer.url.query == b"status=pending&tag=a"

    async def test_it_is_cleared_only_if_its_name_is_typed(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        said = await board.said("/queues/shop:note/clear", name="shop:nose")
        assert said.startswith("did not clear the queue shop:note")
        assert (await board.broker.stats(["shop:note"]))[0].pending == 1
        said = await board.said("/queues/shop:note/clear", name="shop:note")
        assert said == "cleared the queue shop:note: 1 waiting tasks are removed"
        assert (await board.broker.stats(["shop:note"]))[0].pending == 0

    @pytest.mark.parametrize("what", ["pause", "resume", "clear"])
    async def test_an_unknown_one_is_not_made(self, board: Board, what: str) -> None:
        answer = await board.post(f"/queues/nope/{what}", name="nope")
        assert answer.status_code == 404
        assert await board.broker.queues() == []


class TestTask:
    async def test_it_is_cancelled_once(self, board: Board) -> None:
        task_id = (await board.worker.tasks["shop:note"].send("x")).id
        path = f"/queues/shop:note/tasks/{task_id}/cancel"
        assert await board.said(path) == f"cancelled the task {task_id}"
        assert await status(board, "shop:note", task_id) is Status.CANCELLED
        assert "it has ended already" in await board.said(path)

    async def test_a_delayed_one_is_promoted(self, board: Board) -> None:
        task = board.worker.tasks["shop:note"].with_options(delay=60)
        task_id = (await task.send("x")).id
        path = f"/queues/shop:note/tasks/{task_id}/promote"
        assert "it is pending now" in await board.said(path)
        assert await status(board, "shop:note", task_id) is Status.PENDING
        assert "it is not delayed" in await board.said(path)

    async def test_a_final_one_runs_again_as_a_new_one(self, board: Board) -> None:
        (task_id,) = await dead(board, -1)
        answer = await board.post(f"/queues/shop:checkout/tasks/{task_id}/rerun")
        new = answer.url.path.rpartition("/")[2]
        assert new != task_id
        assert await status(board, "shop:checkout", new) is Status.PENDING

    async def test_one_whose_arguments_are_gone_says_so(self, board: Board) -> None:
        async with board.worker:
            handle = await board.worker.tasks["shop:note"].send("x")
            await handle.wait(timeout=5)
        said = await board.said(f"/queues/shop:note/tasks/{handle.id}/rerun")
        assert "its arguments were not kept" in said

    async def test_a_dead_one_is_retried_and_purged(self, board: Board) -> None:
        first, second = await dead(board, -1, -2)
        said = await board.said(f"/queues/shop:checkout/tasks/{first}/retry")
        assert said == f"retried the dead task {first}"
        assert await status(board, "shop:checkout", first) is Status.PENDING
        said = await board.said(f"/queues/shop:checkout/tasks/{second}/purge")
        assert said == f"purged the dead letter of the task {second}"
        assert await board.broker.dead_letters("shop:checkout") == []


class TestEditAndSend:
    async def test_the_form_has_a_field_for_each_parameter(self, board: Board) -> None:
        handle = await board.worker.tasks["shop:checkout"].send(7, email="a@b.c")
        page = await board.page(f"/queues/shop:checkout/tasks/{handle.id}/edit")
        assert '<input id="arg-order" name="arg-order" value="7" inputmode="decimal"' in page
        assert '<input id="arg-email" name="arg-email" value="a@b.c"' in page
        assert '<select id="arg-express"' in page

    async def test_it_sends_a_new_task_with_priority_and_tags_of_the_old_one(
        self, board: Board
    ) -> None:
        old = board.worker.tasks["shop:checkout"].with_options(priority="high", tags=("x",))
        task_id = (await old.send(7)).id
        fields = {"arg-order": "8", "arg-email": "new", "arg-express": "true"}
        answer = await board.post(f"/queues/shop:checkout/tasks/{task_id}/send", **fields)
        new = answer.url.path.rpartition("/")[2]
        state = await board.broker.state("shop:checkout", new)
        assert (state.priority.name, state.tags) == ("HIGH", ("x",))
        assert await board.broker.body("shop:checkout", new) == (
            b'[[],{"order":8,"email":"new","express":true}]'
        )

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"arg-order": ""}, "argument 'order' is missing"),
            ({"arg-order": "seven"}, "argument 'order' is not a number"),
            ({"arg-order": '"seven"'}, "argument 'order'"),
            ({"arg-order": "1.5"}, "argument 'order'"),
            ({"arg-order": "1", "arg-express": "7"}, "argument 'express'"),
        ],
    )
    async def test_wrong_arguments_are_told_beside_their_field(
        self, board: Board, fields: dict[str, str], text: str
    ) -> None:
        task_id = (await board.worker.tasks["shop:checkout"].send(7)).id
        answer = await board.post(f"/queues/shop:checkout/tasks/{task_id}/send", **fields)
        assert answer.status_code == 422
        found = re.search(
            r'<p class="error" id="arg-\w+-error" role="alert">(.*?)</p>', answer.text
        )
        assert found, answer.text
        assert text in found[1].replace("&#39;", "'")
        assert (await board.broker.stats(["shop:checkout"]))[0].pending == 1

    async def test_parameters_of_all_kinds_travel(self, board: Board) -> None:
        task_id = (await board.worker.tasks["shop:resize"].send([1, 2], 3, 4, a="b")).id
        page = await board.page(f"/queues/shop:resize/tasks/{task_id}/edit")
        fields = dict(
            re.findall(r'<textarea[^>]* name="([\w-]+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
        )
        sent = {name: value.replace("&#34;", '"') for name, value in fields.items()}
        answer = await board.post(f"/queues/shop:resize/tasks/{task_id}/send", **sent)
        new = answer.url.path.rpartition("/")[2]
        body = await board.broker.body("shop:resize", new)
        assert body == await board.broker.body("shop:resize", task_id)

    @pytest.mark.parametrize(
        ("field", "value", "text"),
        [
            ("arg-rest", "7", "must be a JSON array"),
            ("arg-more", "[7]", "must be a JSON object"),
        ],
    )
    async def test_further_arguments_are_a_list_and_an_object(
        self, board: Board, field: str, value: str, text: str
    ) -> None:
        task_id = (await board.worker.tasks["shop:resize"].send([1, 2], 3, 4, a="b")).id
        path = f"/queues/shop:resize/tasks/{task_id}"
        page = await board.page(f"{path}/edit")
        fields = dict(
            re.findall(r'<textarea[^>]* name="([\w-]+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
        )
        sent = {name: value.replace("&#34;", '"') for name, value in fields.items()}
        assert field in sent
        answer = await board.post(f"{path}/send", **{**sent, field: value})
        assert answer.status_code == 422
        assert text in answer.text

    async def test_without_the_code_there_is_no_form(self, board: Board) -> None:
        task_id = (await board.worker.tasks["shop:note"].send("x")).id
        other: ltq.Worker[Any] = ltq.Worker("other", broker=board.broker)
        async with open_board(other) as bare:
            path = f"/queues/shop:note/tasks/{task_id}"
            assert "Edit and send" not in await bare.page(path)
            assert "ltq web shop:worker" in await bare.text(path)
            assert "is not here" in await bare.text(f"{path}/edit", 404)
            answer = await bare.post(f"{path}/send")
            assert (answer.status_code, "The code of shop:note is not here" in answer.text) == (
                404,
                True,
            )


class TestDead:
    async def test_one_that_is_none_is_told(self, board: Board) -> None:
        task_id = (await board.worker.tasks["shop:note"].send("x")).id
        path = f"/queues/shop:note/tasks/{task_id}"
        assert f"did not retry the task {task_id}: " in await board.said(f"{path}/retry")
        assert "there is no dead letter of it" in await board.said(f"{path}/purge")
        assert (await board.broker.stats(["shop:note"]))[0].pending == 1

    async def test_the_ticked_are_retried(self, board: Board) -> None:
        first, second = await dead(board, -1, -2)
        said = await board.said("/dead/do", do="retry", letter=[f"shop:checkout/{first}"])
        assert said == "retried 1 dead letter"
        (left,) = await board.broker.dead_letters("shop:checkout")
        assert left.id == second

    async def test_all_that_match_are_purged_and_others_stay(self, board: Board) -> None:
        await dead(board, -1, -2)
        fault = "ValueError: order -… is negative"
        said = await board.said("/dead/do", do="purge", all="yes", fault=f"{fault}!")
        assert "no dead letters were chosen" in said
        said = await board.said("/dead/do", do="purge", all="yes", fault=fault)
        assert said == "purged 2 dead letters"
        assert await board.broker.dead_letters("shop:checkout") == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"do": "retry"},
            {"do": "x", "letter": "shop:a/b"},
            {},
            {"do": "purge", "letter": "a b/c d"},
        ],
    )
    async def test_what_names_nothing_does_nothing(
        self, board: Board, fields: dict[str, str]
    ) -> None:
        await dead(board, -1)
        assert "did nothing" in await board.said("/dead/do", **fields)
        assert len(await board.broker.dead_letters("shop:checkout")) == 1


class TestSchedules:
    async def test_one_is_paused_resumed_and_run(self, board: Board) -> None:
        assert await board.said("/schedules/tidy/pause") == "paused the schedule tidy"
        assert "paused" in await board.text("/schedules")
        assert await board.said("/schedules/tidy/resume") == "resumed the schedule tidy"
        assert "ran the schedule tidy now" in await board.said("/schedules/tidy/trigger")
        assert (await board.broker.stats(["shop:tidy"]))[0].pending == 1

    async def test_an_unknown_one_is_told(self, board: Board) -> None:
        assert "there is no schedule" in await board.said("/schedules/nope/pause")


class TestLog:
    async def test_each_action_is_logged_with_who_did_it(
        self, shop: ltq.Worker[Any], told: pytest.LogCaptureFixture
    ) -> None:
        def who(request: Request) -> Access:
            return Access("write", request.headers["x-user"])

        async with open_board(shop, authorize=who, headers={"x-user": "ada"}) as board:
            await shop.tasks["shop:note"].send("x")
            await board.post("/queues/shop:note/pause")
            await board.post("/schedules/nope/pause")
        lines = [record.getMessage() for record in told.records]
        assert lines[0] == f"ada paused the queue shop:note ({shop.broker.url})"
        assert lines[1].startswith(f"ada: /{board.key}/schedules/nope/pause failed: ")

    async def test_without_a_name_the_address_is_logged(
        self, board: Board, told: pytest.LogCaptureFixture
    ) -> None:
        await board.worker.tasks["shop:note"].send("x")
        await board.post("/queues/shop:note/pause")
        assert told.records[0].getMessage().startswith("somebody at 127.0.0.1 paused")

    async def test_a_name_cannot_forge_a_line(
        self, shop: ltq.Worker[Any], told: pytest.LogCaptureFixture
    ) -> None:
        def who(_: Request) -> Access:
            return Access("write", "ada\nroot did it")

        async with open_board(shop, authorize=who) as board:
            await shop.tasks["shop:note"].send("x")
            await board.post("/queues/shop:note/pause")
        assert told.records[0].getMessage().startswith("ada\\nroot did it paused")
