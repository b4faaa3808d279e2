"""`examples/checksums.py`: a worker and a producer, each a process of its own."""

import hashlib
import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from devtools.servers import free_port
from examples import checksums
from ltq.broker import Broker
from tests.eventually import eventually
from tests.examples.programs import PATIENCE, Program, StartProgram


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of 12 files; `big.bin` is read in several chunks."""
    tree = tmp_path / "tree [of] files"
    for folder in range(3):
        (tree / f"folder{folder}").mkdir(parents=True)
        for number in range(3):
            (tree / f"folder{folder}" / f"{number}.txt").write_text("x" * (number + 1))
    (tree / "big.bin").write_bytes(os.urandom(2 * checksums.CHUNK + 1))
    (tree / "empty").touch()
    (tree / "line\nend \x1b[31m[red]ünï").write_text("a name that is no trouble")
    (tree / "link").symlink_to("big.bin")
    (tree / "broken").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    return tree


async def start_worker(start: StartProgram) -> Program:
    return await start("-m", "ltq", "run", "examples.checksums:worker")


async def start_producer(start: StartProgram, *arguments: str) -> Program:
    return await start("-m", "examples.checksums", *arguments)


async def wait_for_tasks(broker: Broker, count: int) -> None:
    async def are_waiting() -> bool:
        (queue,) = await broker.stats(["checksums:checksum"])
        return queue.pending == count

    await eventually(are_waiting, PATIENCE, f"{count} tasks that wait")


class TestProducer:
    async def test_every_file_gets_its_checksum(self, start: StartProgram, tree: Path) -> None:
        worker = await start_worker(start)
        producer = await start_producer(start, str(tree))
        assert await producer.ends() == 0, producer.output
        big = tree / "big.bin"
        digest = hashlib.sha256(big.read_bytes()).hexdigest()
        assert f"{big.stat().st_size:,}  {digest[:16]}  big.bin" in producer.output
        assert r"line\nend \x1b[31m[red]ünï" in producer.output
        assert "12 files, 2,097,196 bytes in " in producer.output
        assert producer.output.endswith(" s, 0 failed\n")
        assert await worker.stop() == 0, worker.output

    async def test_a_limit_is_kept(self, start: StartProgram, tree: Path) -> None:
        await start_worker(start)
        producer = await start_producer(start, str(tree), "--limit", "5")
        assert await producer.ends() == 0, producer.output
        assert "5 files, " in producer.output

    async def test_more_files_than_a_batch_are_sent_one_batch_after_the_other(
        self, start: StartProgram, tree: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checksums.worker, "broker", broker)
        monkeypatch.setattr(checksums, "BATCH", 5)
        await start_worker(start)
        report = checksums.Report()
        files = list(checksums.find(tree, report.failures))
        messages = list(checksums.prepare(files, report.failures))
        await checksums.produce(messages, report, Console(file=io.StringIO()))
        assert sorted(one.path for one in report.sums) == sorted(map(str, files))
        assert report.failures == []

    async def test_what_cannot_be_read_is_listed_and_told_by_the_exit_code(
        self, start: StartProgram, tree: Path, broker: Broker
    ) -> None:
        (tree / os.fsdecode(b"\xff")).touch()
        producer = await start_producer(start, str(tree))
        await wait_for_tasks(broker, 12)
        (tree / "folder1" / "1.txt").unlink()
        await start_worker(start)
        assert await producer.ends() == 1, producer.output
        gone = tree / "folder1" / "1.txt"
        assert f"failed: FileNotFoundError: [Errno 2] No such file or directory: '{gone}'\n" in (
            producer.output
        )
        assert r"/\xff': its name is not UTF-8" in producer.output
        assert "11 files, " in producer.output
        assert producer.output.endswith(" s, 2 failed\n")

    async def test_it_asks_for_a_worker_when_nothing_happens(
        self, start: StartProgram, tree: Path
    ) -> None:
        producer = await start_producer(start, str(tree))
        await producer.says(checksums.NO_WORKER)
        await start_worker(start)
        assert await producer.ends() == 0, producer.output

    async def test_ctrl_c_leaves_the_tasks_in_their_queue(
        self, start: StartProgram, tree: Path, broker: Broker
    ) -> None:
        producer = await start_producer(start, str(tree))
        await wait_for_tasks(broker, 12)
        producer.process.send_signal(signal.SIGINT)
        assert await producer.ends() == 130, producer.output
        assert checksums.STOPPED in producer.output
        assert "Traceback" not in producer.output
        await wait_for_tasks(broker, 12)

    async def test_an_empty_directory_is_fine(self, start: StartProgram, tmp_path: Path) -> None:
        producer = await start_producer(start, str(tmp_path))
        assert await producer.ends() == 0, producer.output
        assert "0 files, 0 bytes" in producer.output

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["/no/such/directory"], "/no/such/directory is not a directory"),
            ([".", "--limit", "0"], "--limit takes a number of files, 1 or more"),
            ([], "the following arguments are required: DIRECTORY"),
        ],
    )
    async def test_wrong_use_is_told(
        self, start: StartProgram, arguments: list[str], reason: str
    ) -> None:
        producer = await start_producer(start, *arguments)
        assert await producer.ends() == 2
        assert reason in producer.output

    async def test_a_server_that_is_not_there_is_told_in_one_line(
        self, start: StartProgram, tree: Path
    ) -> None:
        nowhere = {"LTQ_BROKER_URL": f"redis://127.0.0.1:{free_port()}"}
        producer = await start("-m", "examples.checksums", str(tree), environment=nowhere)
        assert await producer.ends() == 1
        assert "failed: Redis at 127.0.0.1:" in producer.output
        assert "Traceback" not in producer.output


class TestTask:
    async def test_it_may_be_called_without_a_worker(self, tree: Path) -> None:
        path = str(tree / "big.bin")
        expected = hashlib.sha256((tree / "big.bin").read_bytes()).hexdigest()
        assert await checksums.checksum(path) == checksums.FileSum(
            path, 2 * checksums.CHUNK + 1, expected
        )
