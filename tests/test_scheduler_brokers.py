"""Where a scheduler sends to: its tasks wait where their workers look."""

import asyncio

import pytest

import ltq
from ltq import Broker, Scheduler, Worker
from tests.eventually import eventually


def declared(url: str, name: str = "mail") -> ltq.Task[[], None]:
    worker = Worker(name, broker_url=url)

    @worker.task
    async def send() -> None: ...

    return send


def scheduler_of(*tasks: ltq.Task[[], None], url: str = "memory://scheduler") -> Scheduler:
    scheduler = Scheduler(url)
    for task in tasks:
        scheduler.cron("* * * * * *", task.message())
    return scheduler


def urls(scheduler: Scheduler) -> list[str]:
    return [broker.url for broker in scheduler.brokers]


def test_one_broker_is_its_own_object() -> None:
    scheduler = scheduler_of(declared("memory://scheduler"))
    assert scheduler.brokers == (scheduler.broker,)


def test_without_schedules_it_has_its_own() -> None:
    assert urls(Scheduler("memory://scheduler")) == ["memory://scheduler"]


def test_it_sends_where_the_worker_of_each_task_looks() -> None:
    tasks = [declared(f"memory://{name}", name) for name in ("one", "two", "scheduler")]
    scheduler = scheduler_of(*tasks, declared("memory://one", "three"))
    assert sorted(urls(scheduler)) == ["memory://one", "memory://scheduler", "memory://two"]


def test_it_leaves_its_own_alone_where_nobody_looks() -> None:
    assert urls(scheduler_of(declared("memory://one"))) == ["memory://one"]


def test_a_worker_may_move_until_it_runs() -> None:
    task = declared("memory://one")
    worker = Worker("other", broker_url="memory://two")

    @worker.task
    async def work() -> None: ...

    scheduler = scheduler_of(task, work)
    worker.broker = Broker.from_url("memory://three")
    assert urls(scheduler) == ["memory://one", "memory://three"]


def test_the_command_line_overrides_the_code() -> None:
    scheduler = scheduler_of(declared("memory://one"))
    scheduler._redirect(Broker.from_url("memory://four"))
    assert urls(scheduler) == ["memory://four"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["run", "background", "worker"])
async def test_its_tasks_arrive(how: str) -> None:
    worker = Worker("mail", broker_url=f"memory://elsewhere-{how}")

    @worker.cron("* * * * * *")
    @worker.task
    async def send() -> None: ...

    scheduler = Scheduler("memory://scheduler")
    if how == "worker":
        scheduler.register_worker(worker)
    else:
        scheduler.cron("* * * * * *", send.message())
    runs = asyncio.create_task(scheduler.run()) if how == "run" else None
    if how != "run":
        scheduler.start_background()

    async def arrived() -> bool:
        (stats,) = await worker.broker.stats([send.queue])
        return stats.pending > 0

    await eventually(arrived)
    await scheduler.stop()
    if runs is not None:
        await runs
    assert (await scheduler.broker.stats([send.queue]))[0].pending == 0
    await worker.aclose()


@pytest.mark.parametrize("verb", ["remove", "pause", "resume", "trigger"])
@pytest.mark.parametrize("name", [5, None, b"nightly"])
async def test_what_is_no_text_is_no_name_of_a_schedule(verb: str, name: object) -> None:
    with pytest.raises(ltq.ConfigurationError, match=r"schedule name .* is not allowed"):
        await getattr(Scheduler("memory://scheduler"), verb)(name)
