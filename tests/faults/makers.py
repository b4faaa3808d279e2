"""A process that makes workflows of the tasks of `jobs`: run as a module, with how many."""

import asyncio
import sys

import ltq
from ltq import Node
from tests.faults import jobs


def workflow(number: int) -> Node[tuple[list[int], int]]:
    """A map, a chain over two workers, and their join."""
    chain = jobs.double.step(number).then(jobs.double_elsewhere).then(jobs.double)
    node = ltq.join(jobs.numbers.step(number % 7).map(jobs.double), chain)
    return node.with_options(id=f"w{number}")


def result(number: int) -> tuple[list[int], int]:
    """What it gives."""
    return [2 * one for one in range(number % 7)], 8 * number


async def make(count: int) -> None:
    """Send so many workflows, ten at a time. Those that are there already are not sent again."""
    for first in range(0, count, 10):
        numbers = range(first, min(first + 10, count))
        await asyncio.gather(*(workflow(number).send() for number in numbers))


if __name__ == "__main__":
    asyncio.run(make(int(sys.argv[1])))
