"""A process that sends what its version of the shop sends, until it is told to stop.

`python -m tests.rolling.sender`, with the version on the path.
"""

import asyncio
import importlib

import ltq
from tests.rolling.record import record

BEAT = 0.12
"""Seconds between two rounds; each sends one task of each kind."""


async def main() -> None:
    jobs = importlib.import_module("shop.jobs")
    number = 0
    while not record().is_told("senders stop"):
        number += 1
        record().write(await jobs.send_all(number))
        await asyncio.sleep(BEAT)  # the task's own time
    app: ltq.App = jobs.app
    for worker in app.workers:
        await worker.aclose()


if __name__ == "__main__":
    asyncio.run(main())
