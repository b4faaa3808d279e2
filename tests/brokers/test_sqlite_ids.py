"""Tasks are found by a hash of their ids, which others may have as well."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._places import records
from ltq.brokers.sqlite._places.rows import hash_of
from ltq.message import Envelope, Published, new_id
from ltq.state import Status


async def test_ids_with_the_same_hash_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "hash_of", lambda task_id: len(task_id))
    envelopes = [
        Envelope(id=task_id, queue=f"{namespace}:send", task_name="send", body=b"{}")
        for task_id in ("a", "b", "c")
        for namespace in ("mail", "shop")
    ]
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db") as broker:
        assert set(await broker.publish(envelopes)) == {Published.CREATED}
        assert set(await broker.publish(envelopes[2:4])) == {Published.EXISTS}
        assert await broker.cancel("mail:send", "b", 60)
        assert await broker.clear("mail:send") == 2
        states = await broker.states("mail:send", ["a", "b", "c", "d"])
        assert [state and state.status for state in states] == [None, Status.CANCELLED, None, None]
        states = await broker.states("shop:send", ["a", "b", "c", "d"])
        assert [state is not None for state in states] == [True, True, True, False]


@pytest.mark.slow
async def test_sends_beside_many_tasks_write_few_pages(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"

    async def send(count: int) -> None:
        for _ in range(count // 500):
            ids = [new_id() for _ in range(500)]
            await broker.publish(
                [Envelope(id=one, queue="mail", task_name="mail", body=b"{}") for one in ids]
            )

    async def written_by_a_send() -> int:
        """Bytes of the log."""
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await send(500)
        return os.stat(f"{path}-wal").st_size

    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        await send(2_000)
        few = await written_by_a_send()
        await send(50_000)
        assert await written_by_a_send() <= 1.5 * few


@pytest.mark.parametrize(
    "task_id", ["-1", "0", "0123456", "01234567", "ffffffff", "FFFFFFFF", "a.b"]
)
def test_each_id_has_a_hash_that_fits_a_column(task_id: str) -> None:
    assert -(2**63) <= hash_of(task_id) < 2**63
    assert hash_of(task_id) != hash_of(f"{task_id}0")
