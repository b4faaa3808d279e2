"""A worker to try the deployment with: `ltq send jobs:worker.hello --args '["you"]' --wait`."""

import ltq

worker = ltq.Worker("jobs", shutdown_timeout=30)


@worker.task(max_tries=3)
async def hello(name: str) -> str:
    return f"hello {name}"
