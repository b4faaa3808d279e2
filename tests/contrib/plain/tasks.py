"""An app of Django's with tasks of LTQ."""

import ltq

worker = ltq.Worker("plain", broker_url="memory://plain")
inner = ltq.Worker("inner", broker_url="memory://plain")
app = ltq.App()
app.register_worker(inner)


@worker.task
def double(number: int) -> int:
    return 2 * number


@worker.task
async def double_slowly(number: int) -> int:
    return 2 * number


@inner.task
def halve(number: int) -> int:
    return number // 2
