"""A workflow: read a folder, count the words of each file at once, and sum up.

    ltq run examples.workflow:worker          # in one terminal
    python -m examples.workflow docs          # in another

The worker and the producer see the same folder. Both use the broker of LTQ_BROKER_URL, else
redis://localhost:6379.
"""

import argparse
import asyncio
from collections import Counter
from pathlib import Path

import ltq

worker = ltq.Worker("words")


@worker.task
def find(folder: str) -> list[str]:
    """The text files of a folder."""
    return sorted(str(path) for path in Path(folder).glob("*.md"))


@worker.task(max_tries=2)
def count(path: str, *, longest: int = 20) -> dict[str, int]:
    """How often each word is in a file."""
    words = Path(path).read_text("utf-8").lower().split()
    return Counter(word for word in words if word.isalpha() and len(word) <= longest)


@worker.task
def merge(counts: list[dict[str, int]], *, top: int = 5) -> list[tuple[str, int]]:
    """The most frequent words of all files."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total.most_common(top)


async def main(folder: str, top: int) -> None:
    """Send the workflow, and show how it goes on."""
    files = find.step(folder)
    words = files.map(count).then(merge, top=top)
    handle = await ltq.join(words, files).send()
    async for tree in handle.watch_tree(timeout=60):
        done = [node.done for node in tree.nodes if node.done is not None]
        print(f"{tree.status}: {sum(done)} files are counted", flush=True)
    most, read = await handle.result()
    print(f"{len(read)} files")
    for word, times in most:
        print(f"{times:6} {word}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The most frequent words of a folder's files.")
    parser.add_argument("folder")
    parser.add_argument("--top", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(main(given.folder, given.top))
