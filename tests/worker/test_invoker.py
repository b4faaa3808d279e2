"""Errors of a task's function that look like those of its worker."""

import ltq


async def test_a_timeout_error_of_the_task_itself_stays_what_it_is() -> None:
    worker = ltq.Worker("asking", broker_url="memory://asking")

    @worker.task(timeout=60)
    async def ask() -> None:
        raise TimeoutError("the site is slow")

    handle = await ask.send()
    await worker.run(burst=True)
    assert (await handle.state()).error == "TimeoutError: the site is slow"
