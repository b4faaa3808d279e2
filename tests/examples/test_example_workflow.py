"""`examples/workflow.py`: read, count in parallel, sum up."""

from pathlib import Path

from tests.examples.programs import StartProgram


async def test_the_words_of_all_files_are_summed_up(start: StartProgram, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.md").write_text("a queue of tasks is a queue\n")
    worker = await start("-m", "ltq", "run", "examples.workflow:worker")
    producer = await start("-m", "examples.workflow", str(tmp_path), "--top", "2")
    assert await producer.ends() == 0, producer.output
    assert producer.output.splitlines()[-3:] == ["3 files", "     6 a", "     6 queue"]
    assert await worker.stop() == 0, worker.output
