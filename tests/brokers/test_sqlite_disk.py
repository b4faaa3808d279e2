"""What lies on the disk: where it is, how large it gets, and how it is searched."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from ltq.broker import Severity
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file import network
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread import changes
from ltq.message import Envelope
from ltq.state import Status
from tests.eventually import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def mounted(tmp_path: Path, kind: str) -> str:
    return (
        "21 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"
        f"22 21 0:5 / {tmp_path} rw,relatime shared:2 - {kind} server:/share rw\n"
    )


@pytest.mark.parametrize(("kind", "severity"), [("nfs4", Severity.DANGER), ("xfs", Severity.OK)])
async def test_a_network_file_system_is_warned_of(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, severity: Severity
) -> None:
    mounts = path.with_name("mountinfo")
    await asyncio.to_thread(mounts.write_text, mounted(path.parent, kind))
    monkeypatch.setattr(network, "MOUNTS", mounts)
    async with SqliteBroker(f"sqlite:///{path}") as broker:
        hazards = await broker.hazards()
        assert [kind in text and str(path) in text for text in hazards] == [True] * (
            severity is Severity.DANGER
        )
        assert (await broker.examine())[0].severity is severity


async def test_a_link_to_a_network_file_system_is_warned_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, mounts = path.with_name("share"), path.with_name("mountinfo")
    await asyncio.to_thread(share.mkdir)
    await asyncio.to_thread(path.with_name("link").symlink_to, share)
    await asyncio.to_thread(mounts.write_text, mounted(share, "nfs4"))
    monkeypatch.setattr(network, "MOUNTS", mounts)
    (text,) = await SqliteBroker(f"sqlite:///{path.parent}/link/jobs.db").hazards()
    assert "nfs4" in text


async def test_where_nothing_is_told_of_mounts_nothing_is_warned_of(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "MOUNTS", path.with_name("missing"))
    assert await SqliteBroker(f"sqlite:///{path}").hazards() == []


async def test_a_power_cut_is_told_of(path: Path) -> None:
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        assert "power cut" in (await broker.examine())[0].text


@pytest.mark.slow
async def test_a_file_does_not_grow_with_what_was_done(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_NEWS", 64)
    now = 1_000_000.0
    sizes: list[int] = []

    def pages(store: SqliteStore) -> int:
        return store.database.number("PRAGMA page_count")

    async with SqliteBroker(f"sqlite:///{path}?sync=normal", clock=lambda: now) as broker:
        consumer = broker.consumer(["mail"])
        for hour in range(30):
            ids = [f"{hour}-{number}" for number in range(100)]
            await broker.publish(
                [Envelope(id=one, queue="mail", task_name="mail", body=bytes(100)) for one in ids]
            )
            for delivery in (await consumer.claim(100)).deliveries:
                await broker.release(delivery.lease, result=b"1", result_ttl=3600)
            now += 3600
            sizes.append(await broker._here().thread.call(pages))
    assert max(sizes[10:]) <= 1.2 * max(sizes[:10])


async def test_room_that_is_not_needed_is_given_back(path: Path) -> None:
    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        envelopes = [
            Envelope(id=str(number), queue="mail", task_name="mail", body=bytes(20_000))
            for number in range(1000)
        ]
        await broker.publish(envelopes)
        thread = broker._here().thread

        def pages(store: SqliteStore) -> int:
            return store.database.number("PRAGMA page_count")

        full = await thread.call(pages)
        await broker.clear("mail")
        thread._trim_at = 0.0

        async def is_smaller() -> bool:
            return await thread.call(pages) <= full - 900

        await eventually(is_smaller)


async def test_all_that_has_expired_is_removed_in_time(path: Path) -> None:
    now = 1_000_000.0

    def kept(store: SqliteStore) -> int:
        return store.database.number("SELECT count(*) FROM ltq_kept WHERE kind = 'fingerprint'")

    async def send(number: int) -> None:
        task_id = f"{number}-{now}"
        mail = Envelope(id=task_id, queue="mail", task_name="mail", body=b"", fingerprint=task_id)
        await broker.publish([structs.replace(mail, unique_for=60.0)])

    async with SqliteBroker(f"sqlite:///{path}?sync=normal", clock=lambda: now) as broker:
        for number in range(50):
            await send(number)
        thread = broker._here().thread
        assert await thread.call(kept) == 50
        now += 100
        for number in range(10):
            await send(number)
        assert await thread.call(kept) == 10


async def test_no_call_of_a_worker_looks_through_a_whole_table(path: Path) -> None:
    said: list[str] = []

    def trace(store: SqliteStore) -> None:
        store.database.connection.set_trace_callback(said.append)

    def plans(store: SqliteStore) -> dict[str, str]:
        connection = store.database.connection
        connection.set_trace_callback(None)
        wanted = {one for one in said if one.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))}
        explained = {one: connection.execute(f"EXPLAIN QUERY PLAN {one}") for one in wanted}
        return {one: "; ".join(row[3] for row in rows) for one, rows in explained.items()}

    async with SqliteBroker(f"sqlite:///{path}?sync=normal") as broker:
        thread, consumer = broker._here().thread, broker.consumer(["mail"])
        await thread.call(trace)
        for number in range(3):
            mail = Envelope(id=str(number), queue="mail", task_name="mail", body=b"", max_pending=9)
            await broker.publish([mail, structs.replace(mail, id=f"late{number}", delay=60)])
        (delivery, other) = (await consumer.claim(2)).deliveries
        await broker.heartbeat([delivery.lease], 15)
        await broker.release(delivery.lease, result=b"1")
        await broker.release(other.lease, status=Status.FAILED, result_ttl=0)
        await broker.states("mail", ["0", "1"])
        await consumer.wait(0.01)
        for statement, plan in (await thread.call(plans)).items():
            assert "TEMP B-TREE" not in plan, statement
            steps = set(plan.split("; ")) - {
                "SCAN ltq_schema",
                "SCAN sqlite_master",
            }  # they stay small
            assert all(step.startswith("SEARCH") or "INDEX" in step for step in steps), (
                statement,
                plan,
            )
