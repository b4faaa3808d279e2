"""What the dashboard shows of streams."""

from collections.abc import AsyncIterator
from typing import Any

from tests.web.boards import Board, open_board


async def test_a_task_shows_its_last_items(board: Board) -> None:
    @board.worker.task
    async def count(most: int) -> AsyncIterator[dict[str, int]]:
        for number in range(most):
            yield {"number": number}

    async with board.worker:
        few, many = await count.send(2), await count.send(30)
        await few.result(5)
        await many.result(5)
    text = await board.text(f"/queues/shop:count/tasks/{few.id}")
    assert 'Items 2, of run 1. {"number": 0} {"number": 1}' in text
    text = await board.text(f"/queues/shop:count/tasks/{many.id}")
    assert 'The last 20 of 30, of run 1. {"number": 10}' in text
    assert '{"number": 29}' in text
    assert '{"number": 9}' not in text


async def test_items_are_redacted(board: Board) -> None:
    def redact(task_name: str, value: Any) -> Any:
        return "hidden" if "secret" in str(value) else value

    @board.worker.task
    async def chat() -> AsyncIterator[str]:
        yield "secret"
        yield "plain"

    async with board.worker:
        handle = await chat.send()
        await handle.result(5)
    async with open_board(board.worker, redact=redact) as other:
        text = await other.text(f"/queues/shop:chat/tasks/{handle.id}")
    assert '"hidden" "plain"' in text
    assert "secret" not in text
