"""A disk that gets full: new tasks are refused first, and what is there goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltq.broker import Severity
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._file import room
from ltq.errors import BrokerError
from ltq.message import Envelope, Published
from ltq.state import Status

LEASE = 600.0


def envelope(task_id: str, size: int = 2) -> Envelope:
    return Envelope(id=task_id, queue="mail", task_name="mail", body=bytes(size))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


async def fill(broker: SqliteBroker) -> list[str]:
    """Send until nothing more is taken, not even the smallest task. Returns the ids."""
    sent: list[str] = []
    for size in (20_000, 2000, 20):
        while await is_taken(broker, envelope(str(len(sent)), size)):
            sent.append(str(len(sent)))
    return sent


async def is_taken(broker: SqliteBroker, task: Envelope) -> bool:
    try:
        await broker.publish([task])
    except BrokerError as error:
        assert "disk is nearly full" in str(error)  # noqa: PT017
        return False
    return True


async def test_tasks_of_a_full_disk_end_and_make_room(small_disk: Path) -> None:
    async with SqliteBroker(f"sqlite:///{small_disk}/jobs.db") as broker:
        consumer = broker.consumer(["mail"], lease=LEASE)
        sent = await fill(broker)
        assert len(sent) > 50
        deliveries = (await consumer.claim(20)).deliveries
        for delivery in deliveries[:10]:
            await broker.release(delivery.lease, result=b"done", result_ttl=60)
        assert await broker.heartbeat([one.lease for one in deliveries[10:]], LEASE) == []
        for delivery in deliveries[10:]:
            await broker.release(delivery.lease, status=Status.FAILED)
        for task_id in sent[20:30]:
            assert await broker.cancel("mail", task_id, 60)
        assert await broker.clear("mail") == len(sent) - 30
        assert (await broker.state("mail", deliveries[0].lease.id)).result == b"done"
        assert await broker.publish([envelope("new", 2000)]) == [Published.CREATED]


async def test_many_calls_of_one_moment_do_not_take_all_room(small_disk: Path) -> None:
    async with SqliteBroker(f"sqlite:///{small_disk}/jobs.db") as broker:
        await fill(broker)
        await broker.clear("mail")
        with pytest.raises(BrokerError, match="disk is nearly full"):
            await broker.publish([envelope(f"large{number}", 30_000) for number in range(100)])
        assert await broker.publish([envelope("small")]) == [Published.CREATED]
        assert await broker.clear("mail") == 1


async def test_a_disk_without_a_free_byte_is_told_and_loses_nothing(small_disk: Path) -> None:
    async with SqliteBroker(f"sqlite:///{small_disk}/jobs.db") as broker:
        await broker.publish([envelope("1")])
        other = small_disk / "other"
        with pytest.raises(OSError, match="No space"):
            other.write_bytes(bytes(4_000_000))
        with pytest.raises(BrokerError, match="free some room there"):
            await broker.publish([envelope("2")])
        other.unlink()
        assert await broker.publish([envelope("2")]) == [Published.CREATED]
        assert await broker.clear("mail") == 2


async def test_a_disk_that_says_it_is_full_gets_no_new_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db") as broker:
        await broker.publish([envelope("1"), envelope("2")])
        assert (await broker.examine())[0].severity is Severity.OK
        monkeypatch.setattr(room, "_room_of", lambda path: (2**30, 2**20))
        with pytest.raises(BrokerError, match=r"jobs.db takes no new tasks.*1024 KiB are free"):
            await broker.publish([envelope("3")])
        (delivery,) = (await broker.consumer(["mail"]).claim(1)).deliveries
        await broker.release(delivery.lease, result=b"1", result_ttl=60)
        assert await broker.cancel("mail", "2", 60)
        with pytest.raises(BrokerError, match="takes no new tasks"):
            await broker.rerun("mail", ["2"])
        (found, *_) = await broker.examine()
        assert (found.severity, "nearly full" in found.text) == (Severity.DANGER, True)


async def test_a_disk_of_which_nothing_is_known_is_not_called_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_room_of", lambda path: (0, 0))
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db") as broker:
        assert await broker.publish([envelope("1")]) == [Published.CREATED]
