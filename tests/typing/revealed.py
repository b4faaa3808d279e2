"""The type of every public call, the same to all type checkers: the table of docs/typing.md.

Each function is a part of the table, each `assert_type` a row. Read by them, never run.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, assert_type

from declared import (
    Database,
    Repo,
    add,
    anything,
    chat,
    connect,
    count,
    crawl,
    fetch,
    greet,
    greet_slowly,
    halve,
    lines,
    maybe,
    measure,
    nothing,
    parse,
    primes,
    send_options,
    shout,
    task_options,
    tell,
    tick,
    tidy,
    weigh,
    worker,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

import ltq
import ltq.contrib.django
import ltq.contrib.sqlalchemy
from ltq import (
    App,
    Broker,
    Context,
    Event,
    EventKind,
    EventReader,
    Handle,
    Message,
    Middleware,
    Node,
    Priority,
    Progress,
    Prometheus,
    QueueStats,
    Schedule,
    ScheduleInfo,
    Scheduler,
    Status,
    Stream,
    StreamHandle,
    StreamTask,
    SyncHandle,
    SyncStream,
    SyncStreamHandle,
    Task,
    TaskFilter,
    TaskState,
    Worker,
    WorkerHealth,
    WorkflowHandle,
    WorkflowNode,
    WorkflowState,
    configure_brokers,
    testing,
)
from ltq.broker import (
    Claim,
    Consumer,
    Enlisted,
    Finding,
    KeptSchedule,
    Parcel,
    ScheduleChanges,
    ScheduleRecord,
    WorkerEntry,
)
from ltq.broker.flows import Arrival, Arrived, Ending, Ready, WaitingTask
from ltq.handles import CompletedHandles
from ltq.message import DeadLetter, Delivery, Envelope, Finish, Lease, Published, Receipt, Swept
from ltq.options import TaskConfig
from ltq.state import Durations, Items, Minute, Page, TaskDetail, WorkerInfo, WorkerStatus


def declaring(stored: Worker[Database]) -> None:
    """Declaring tasks"""
    assert_type(worker.task(greet), Task[[], str])
    assert_type(worker.task(greet_slowly), Task[[], str])
    assert_type(worker.task()(greet), Task[[], str])
    assert_type(worker.task(max_tries=3)(greet_slowly), Task[[], str])
    assert_type(worker.task(**task_options)(greet_slowly), Task[[], str])
    assert_type(worker.cron("@daily")(nothing), Task[[], None])
    assert_type(stored.task(greet), Task[[], str])
    assert_type(ltq.TaskOptions(max_tries=3), ltq.TaskOptions)


async def running() -> None:
    """Running a task here and now"""
    assert_type(await fetch("a/b", depth=2), Repo)
    assert_type(await shout("a"), str)
    assert_type(await measure("a", "b", x=1.5), int)
    assert_type(await halve(1), float)
    assert_type(await nothing(), None)
    assert_type(await maybe(1), Repo | None)
    assert_type(await tidy(deep=True), int)


async def sending() -> None:
    """Sending a task"""
    assert_type(await fetch.send("a/b", depth=2), Handle[Repo])
    assert_type(await shout.send("a", times=2), Handle[str])
    assert_type(await measure.send("a", "b", x=1.5), Handle[int])
    assert_type(await halve.send(1), Handle[float])
    assert_type(await nothing.send(), Handle[None])
    assert_type(await maybe.send(1), Handle[Repo | None])
    assert_type(await anything.send(object()), Handle[Any])
    assert_type(await count.send(), Handle[int])
    assert_type(await tick.send(), Handle[int])
    assert_type(fetch.message("a/b", depth=2), Message[Repo])
    assert_type(await fetch.send_many([fetch.message("a"), fetch.message("b")]), list[Handle[Repo]])
    assert_type(await measure.send_many([]), list[Handle[int]])
    assert_type(nothing.with_options(delay=30), Task[[], None])
    assert_type(await fetch.with_options(delay=30).send("a/b", depth=2), Handle[Repo])
    assert_type(await fetch.with_options(**send_options).send("a/b"), Handle[Repo])
    assert_type(fetch.with_options(id="a").message("a/b"), Message[Repo])
    assert_type(ltq.SendOptions(delay=5), ltq.SendOptions)
    assert_type(fetch.handle("some id"), Handle[Repo])
    assert_type(fetch.send_sync("a/b", depth=2), SyncHandle[Repo])
    assert_type(fetch.send_many_sync([fetch.message("a")]), list[SyncHandle[Repo]])
    assert_type(fetch.handle_sync("some id"), SyncHandle[Repo])
    assert_type(ltq.close_sync(), None)


async def tasks(task: Task[..., Any], message: Message[Repo]) -> None:
    """What a task and a message know"""
    assert_type((task.name, task.queue), tuple[str, str])
    assert_type(task.options, Mapping[str, Any])
    assert_type(task.config, TaskConfig)
    assert_type((message.id, message.task_name), tuple[str, str])
    assert_type(message.args, tuple[Any, ...])
    assert_type(message.kwargs, Mapping[str, Any])
    assert_type(message.ctx, dict[str, Any])
    assert_type((message.tries, message.dequeue_count), tuple[int, int])
    assert_type(message.enqueue_time, float | None)
    assert_type(message.dequeue_time, float | None)
    assert_type(message.tags, tuple[str, ...])


async def handles(handle: Handle[Repo]) -> None:
    """A handle"""
    assert_type(await handle.result(), Repo)
    assert_type(await handle.result(timeout=10), Repo)
    assert_type(await handle.wait(timeout=None), TaskState[Repo])
    assert_type(await handle.state(), TaskState[Repo])
    assert_type(handle.watch(timeout=1.5), AsyncGenerator[TaskState[Repo], None])
    async for state in handle.watch():
        assert_type(state, TaskState[Repo])
    assert_type(await handle.cancel(), bool)
    assert_type(await handle.rerun(), Handle[Repo])
    assert_type((handle.id, handle.task_name, handle.queue), tuple[str, str, str])


async def nodes(page: Node[Repo], words: Node[list[str]]) -> None:
    """Nodes of workflows"""
    assert_type(fetch.step("python/cpython", depth=2), Node[Repo])
    assert_type(page.then(parse, lang="de"), Node[list[str]])
    assert_type(words.map(weigh, weight=2.0), Node[list[float]])
    assert_type(words.map(weigh).then(add), Node[float])
    assert_type(ltq.join(words.map(weigh).then(add), page), Node[tuple[float, Repo]])
    assert_type(ltq.join(words.map(weigh).then(add), page).then(tell), Node[str])
    assert_type(page.with_options(id="r-7", on_failure="continue"), Node[Repo])
    assert_type(await words.send(), WorkflowHandle[list[str]])
    assert_type(words.handle("r-7"), WorkflowHandle[list[str]])


async def workflows(handle: WorkflowHandle[int], tree: WorkflowState, node: WorkflowNode) -> None:
    """Workflows that were sent"""
    assert_type(await handle.result(timeout=5), int)
    assert_type(await handle.wait(timeout=5), TaskState[int])
    assert_type(handle.watch_tree(), AsyncGenerator[WorkflowState, None])
    assert_type(await handle.tree(), WorkflowState)
    assert_type(await handle.cancel(), bool)
    assert_type((tree.id, tree.status, tree.nodes), tuple[str, Status, tuple[WorkflowNode, ...]])
    assert_type((node.id, node.task_name, node.queue), tuple[str, str, str])
    assert_type((node.status, node.parents), tuple[Status | None, tuple[str, ...]])
    assert_type(node.error, str | None)
    assert_type((node.done, node.total), tuple[int | None, int | None])


def sync_handles(handle: SyncHandle[Repo]) -> None:
    """A handle without an event loop"""
    assert_type(handle.result(), Repo)
    assert_type(handle.result(timeout=10), Repo)
    assert_type(handle.wait(timeout=None), TaskState[Repo])
    assert_type(handle.state(), TaskState[Repo])
    assert_type(handle.watch(timeout=1.5), Generator[TaskState[Repo], None, None])
    for state in handle.watch():
        assert_type(state, TaskState[Repo])
    assert_type(handle.cancel(), bool)
    assert_type(handle.rerun(), SyncHandle[Repo])
    assert_type((handle.id, handle.task_name, handle.queue), tuple[str, str, str])


async def streaming(task: StreamTask[[str], Repo]) -> None:
    """Tasks that yield items"""
    assert_type(await chat.send("hi", tokens=5), StreamHandle[str])
    assert_type(await crawl.send("a/b"), StreamHandle[Repo])
    assert_type(await primes.send(5), StreamHandle[int])
    assert_type(await lines.send("a"), StreamHandle[str])
    assert_type(await chat.with_options(max_items=5).send("hi"), StreamHandle[str])
    assert_type(await task.send("hi"), StreamHandle[Repo])
    assert_type(task.with_options(max_items=5), StreamTask[[str], Repo])
    assert_type(task.handle("some id"), StreamHandle[Repo])
    assert_type(primes.send_sync(5), SyncStreamHandle[int])
    assert_type(primes.handle_sync("some id"), SyncStreamHandle[int])
    assert_type(await chat("hi"), int)
    assert_type(task.items("hi"), AsyncIterator[Repo])


async def streams(handle: StreamHandle[Repo], stream: Stream[Repo]) -> None:
    """Their handles"""
    assert_type(handle.stream(), Stream[Repo])
    async for repo in handle.stream(after=stream.cursor, timeout=10):
        assert_type(repo, Repo)
    assert_type(await handle.collect(timeout=30), list[Repo])
    assert_type(await handle.present_items(), list[Repo])
    assert_type(await testing.assert_streamed(handle, [Repo("a/b")]), None)
    assert_type(await handle.result(), int)
    assert_type(await handle.rerun(), StreamHandle[Repo])
    assert_type((stream.cursor, stream.attempt, stream.missed), tuple[str, int, int])
    assert_type(await anext(stream), Repo)
    assert_type(await stream.aclose(), None)


def sync_streams(handle: SyncStreamHandle[Repo], stream: SyncStream[Repo]) -> None:
    """Their handles without an event loop"""
    assert_type(handle.stream(after=stream.cursor, timeout=10), SyncStream[Repo])
    for repo in handle.stream():
        assert_type(repo, Repo)
    assert_type(handle.collect(timeout=30), list[Repo])
    assert_type(handle.rerun(), SyncStreamHandle[Repo])
    assert_type((stream.cursor, stream.attempt, stream.missed), tuple[str, int, int])
    assert_type(stream.close(), None)


async def states(state: TaskState[Repo], progress: Progress, status: Status) -> None:
    """A state"""
    assert_type((state.id, state.task_name, state.queue), tuple[str, str, str])
    assert_type(state.status, Status)
    assert_type(status.is_final, bool)
    assert_type(status.is_dead, bool)
    assert_type(state.result, Repo | None)
    assert_type(state.progress, Progress | None)
    assert_type(state.items, int)
    assert_type((progress.current, progress.note), tuple[float, str])
    assert_type(progress.total, float | None)
    assert_type((state.error, state.error_type), tuple[str | None, str | None])
    assert_type(state.traceback, str | None)
    assert_type(state.worker, str | None)
    assert_type(state.timeout, float | None)
    assert_type(state.enqueue_time, float | None)
    assert_type(state.last_dequeue_time, float | None)
    assert_type(state.last_requeue_time, float | None)
    assert_type(state.release_time, float | None)
    assert_type(state.due_time, float | None)
    assert_type((state.dequeue_count, state.requeue_count), tuple[int, int])
    assert_type((state.deaths, state.serializer), tuple[int, str])
    assert_type((state.priority, state.tries), tuple[Priority, int])
    assert_type(state.tags, tuple[str, ...])
    assert_type([Priority.HIGH, Priority.NORMAL, Priority.LOW], list[Priority])


async def together(
    a: Handle[int], b: Handle[str], c: Handle[Repo], many: list[Handle[int]]
) -> None:
    """Several handles"""
    assert_type(await ltq.gather(a, b), tuple[int, str])
    assert_type(await ltq.gather(a, b, c), tuple[int, str, Repo])
    assert_type(await ltq.gather(a, b, c, b), tuple[int, str, Repo, str])
    assert_type(await ltq.gather(a, b, c, b, a, timeout=5), tuple[int, str, Repo, str, int])
    assert_type(await ltq.gather(a), tuple[int])
    assert_type(await ltq.gather(*many), tuple[int, ...])
    assert_type(await ltq.gather(a, return_exceptions=True), tuple[int | BaseException])
    assert_type(
        await ltq.gather(a, b, return_exceptions=True),
        tuple[int | BaseException, str | BaseException],
    )
    assert_type(
        await ltq.gather(a, b, c, return_exceptions=True),
        tuple[int | BaseException, str | BaseException, Repo | BaseException],
    )
    assert_type(await ltq.gather(*many, return_exceptions=True), tuple[int | BaseException, ...])
    assert_type(ltq.as_completed(many, timeout=5), CompletedHandles[int])
    async for first in ltq.as_completed(many):
        assert_type(first, Handle[int])
    for coming in ltq.as_completed(many):
        assert_type(await coming, int)
    assert_type(await ltq.display(a, b, *many), None)


async def inside(context: Context, message: Message[int], stored: Worker[Database]) -> None:
    """Inside a task"""
    assert_type(ltq.current(), Context)
    assert_type((context.id, context.task_name, context.attempt), tuple[str, str, int])
    assert_type(context.tags, tuple[str, ...])
    assert_type(context.message, Message[Any])
    assert_type(context.is_over, bool)
    assert_type(await context.progress(1, total=10, note="a tenth"), None)
    assert_type(context.progress_sync(1, total=10, note="a tenth"), None)
    assert_type(await context.send_after(message), None)
    assert_type(context.send_after_sync(message), None)
    assert_type(stored.resource, Database)


async def workers(own: Worker, broker: Broker, middleware: Middleware) -> None:
    """A worker"""
    assert_type(Worker("plain"), Worker[None])
    assert_type(Worker("plain").resource, None)
    assert_type(Worker("stored", lifespan=connect), Worker[Database])
    assert_type(own.broker, Broker)
    assert_type(own.tasks, Mapping[str, Task[..., Any]])
    assert_type(own.schedules, Sequence[Schedule])
    assert_type(own.register_middleware(middleware, pos=0), None)
    assert_type(await own.run(burst=True), None)
    assert_type(own.stop(now=True), None)
    assert_type(own.health(), list[WorkerHealth])
    assert_type(await own.aclose(), None)
    assert_type(own.events(buffer=10), EventReader)
    assert_type(own.subscribe(print), Callable[[], None])
    async with own as entered:
        assert_type(entered, Worker[None])


async def events(event: Event, reader: EventReader) -> None:
    """Events"""
    async for each in reader:
        assert_type(each, Event)
    assert_type(reader.dropped, int)
    assert_type(await reader.aclose(), None)
    assert_type(event.kind, EventKind)
    assert_type((event.id, event.task_name, event.attempt), tuple[str, str, int])
    assert_type(event.time, float)
    assert_type(event.duration, float | None)
    assert_type(event.error, str | None)


async def apps(app: App, middleware: Middleware) -> None:
    """An app"""
    assert_type(app.register_worker(worker), None)
    assert_type(app.register_middleware(middleware, pos=0), None)
    assert_type(app.workers, tuple[Worker[Any], ...])
    assert_type(await app.run(burst=True), None)
    assert_type(app.stop(), None)


def health(run: WorkerHealth) -> None:
    """The health of a worker"""
    assert_type(run.worker, str)
    assert_type((run.claimed_ago, run.renewed_ago, run.lease), tuple[float, float, float])
    assert_type(run.running, int)
    assert_type((run.is_full, run.is_stopping), tuple[bool, bool])


async def schedules(scheduler: Scheduler, schedule: Schedule) -> None:
    """A scheduler"""
    assert_type(scheduler.cron("@daily", nothing.message(), misfire="all"), None)
    assert_type(scheduler.register_worker(worker), None)
    assert_type(scheduler.schedules, tuple[Schedule, ...])
    assert_type(scheduler.broker, Broker)
    assert_type(scheduler.brokers, tuple[Broker, ...])
    assert_type(scheduler.start(), None)
    assert_type(scheduler.start_background(), None)
    assert_type(await scheduler.stop(), None)
    assert_type(await scheduler.run(), None)
    assert_type((schedule.name, schedule.expr, schedule.tz), tuple[str, str, str])
    assert_type(await scheduler.put("a", "@daily", nothing.message(), tz="UTC"), None)
    assert_type(await scheduler.remove("a"), None)
    assert_type(await scheduler.pause("a"), None)
    assert_type(await scheduler.resume("a"), None)
    assert_type(await scheduler.trigger("a", id="b"), str)
    assert_type(await scheduler.list(), list[ScheduleInfo])
    assert_type(schedule.zone, tzinfo)
    assert_type(schedule.misfire, Literal["once", "skip", "all"])
    assert_type(schedule.task, Task[..., Any])
    assert_type(schedule.message, Message[Any] | None)


def listed_schedule(info: ScheduleInfo) -> None:
    """A schedule as a scheduler lists it"""
    assert_type((info.name, info.expr, info.tz, info.task_name), tuple[str, str, str, str])
    assert_type((info.paused, info.last, info.next), tuple[bool, float | None, float | None])
    assert_type(info.origin, Literal["code", "put"])
    assert_type(info.misfire, Literal["once", "skip", "all"] | None)


async def middlewares(
    middleware: Middleware,
    observer: ltq.Observer,
    prometheus: Prometheus,
    message: Message[Repo],
    task: Task[[str], None],
) -> None:
    """Middleware"""
    assert_type(middleware(message, task), AbstractAsyncContextManager[None])
    assert_type(middleware.on_send(message, task), Callable[[bool | None], object] | None)
    assert_type(middleware.options, frozenset[str])
    assert_type(observer.reports_to, object)
    assert_type(observer(message, task), AbstractAsyncContextManager[None])
    async with prometheus.watch_queues(worker, every=5) as watched:
        assert_type(watched, None)
    assert_type(ltq.MaxTries(), ltq.MaxTries)
    assert_type(ltq.MaxAge(), ltq.MaxAge)
    assert_type(ltq.MaxRate(), ltq.MaxRate)
    assert_type(ltq.Sentry("dsn"), ltq.Sentry)
    assert_type(ltq.OpenTelemetry(meter_provider=None, parent=False), ltq.OpenTelemetry)


async def errors(error: ltq.TaskError) -> None:
    """What `result()` raises"""
    assert_type(error.state, TaskState[Any])
    assert_type((error.type, error.message), tuple[str, str])
    assert_type(error.traceback, str | None)


def logs(log_filter: TaskFilter, record: logging.LogRecord) -> None:
    """Logging"""
    assert_type(ltq.get_logger("ltq.mine"), logging.Logger)
    assert_type(ltq.setup_logging("DEBUG", as_json=True), None)
    assert_type(log_filter.filter(record), bool)
    assert_type(worker.log_completed, bool)


async def lists(page: Page[TaskDetail]) -> None:
    """Lists of tasks"""
    assert_type(page.items, tuple[TaskDetail, ...])
    assert_type(page.items[0].result, bytes | None)
    assert_type(page.items[0].body, bytes | None)
    assert_type(page.cursor, str | None)
    assert_type(page.total, int | None)


async def registry(broker: Broker, entry: WorkerEntry, info: WorkerInfo) -> None:
    """The workers of a broker"""
    assert_type(await broker.workers(), list[WorkerInfo])
    assert_type(await broker.announce(entry), bool)
    assert_type(await broker.leave(entry, ["mail"]), None)
    assert_type((info.name, info.running), tuple[str, tuple[str, ...]])
    assert_type((info.status, info.queues), tuple[WorkerStatus, tuple[str, ...]])
    assert_type((info.host, info.version), tuple[str | None, str | None])
    assert_type((info.pid, info.concurrency), tuple[int | None, int | None])
    assert_type((info.started, info.seen), tuple[float | None, float | None])


async def steered(broker: Broker) -> None:
    """Steering of a broker"""
    assert_type(await broker.cancel_many("mail", tag="a"), int)
    assert_type(await broker.rerun("mail", ["id"]), list[str])


async def moved(broker: Broker, other: Broker, parcel: Parcel, record: ScheduleRecord) -> None:
    """Moving to another broker"""
    assert_type(await broker.pack("mail", ["id"]), list[Parcel | None])
    assert_type(await broker.pack_dead("mail", ["id"]), list[Parcel | None])
    assert_type(await other.adopt([parcel]), list[Published])
    assert_type(await broker.drop([parcel]), list[str])
    assert_type(await other.adopt_schedule(record, 1), bool)


async def flows(broker: Broker, arrival: Arrival) -> None:
    """What a store keeps of workflows"""
    assert_type(await broker.endings("mail", limit=10, older_than=5.0), list[Ending])
    assert_type(await broker.carried("mail", ["id 1"]), None)
    assert_type(await broker.arrive("mail", [arrival]), list[Arrived])
    assert_type(await broker.held("mail", "id", [0]), WaitingTask | None)
    assert_type(await broker.ctx("mail", "id"), bytes | None)
    assert_type(await broker.go_on("mail", "id", Ready(body=b"{}")), bool)
    assert_type(await broker.cancel_each("mail", ["id"], 60.0), int)
    assert_type(await broker.restart("mail", ["id"], held=True), int)


async def stored_items(broker: Broker, lease: Lease, items: Items) -> None:
    """The items of streams in a broker"""
    assert_type(await broker.append(lease, 0, [b"1"], 10_000), bool)
    assert_type(await broker.items("mail", "id", attempt=1, after=5), Items | None)
    assert_type((items.attempt, items.first, items.total), tuple[int, int, int])
    assert_type(items.items, tuple[bytes, ...])


async def brokers(broker: Broker, consumer: Consumer, lease: Lease) -> None:
    """A broker, without a worker"""
    assert_type((Broker.from_url("memory://tests"), broker.shard("mail")), tuple[Broker, str])
    assert_type(configure_brokers({"mail": "memory://mail"}, primary="mail"), None)
    assert_type(broker.consumer(["mail"], lease=30), Consumer)
    assert_type(await broker.claim(consumer, 10, timeout=5), list[Delivery])
    assert_type(await consumer.claim(10), Claim)
    assert_type(await broker.release(lease, result=b"sent"), Receipt)
    assert_type(await broker.requeue(lease, delay=5), Receipt)
    assert_type(await broker.publish(list[Envelope]()), list[Published])
    assert_type(await broker.finish(list[Finish]()), list[Receipt])
    assert_type(await broker.heartbeat([lease], 15), list[Lease])
    assert_type(await broker.progress(lease, Progress(1)), bool)
    assert_type(await broker.sweep(["mail"]), Swept)
    assert_type(await broker.serve(["mail"], 15), None)
    assert_type(await broker.served(["mail"]), list[float | None])
    assert_type(await broker.repair(["mail"]), int)
    assert_type(await broker.state("mail", "id"), TaskState[bytes])
    assert_type(await broker.states("mail", ["id"]), list[TaskState[bytes] | None])
    assert_type(await broker.wait("mail", "id", timeout=5), TaskState[bytes])
    async for state in broker.watch("mail", "id"):
        assert_type(state, TaskState[bytes])
    assert_type(await broker.find("id"), TaskState[bytes] | None)
    assert_type(await broker.first("mail", "fingerprint"), str | None)
    assert_type(await broker.cancel("mail", "id", 60), bool)
    assert_type(await broker.queues(), list[str])
    assert_type(await broker.body("mail", "id"), bytes | None)
    assert_type(await broker.clear("mail"), int)
    assert_type(await broker.pause("mail"), None)
    assert_type(await broker.resume("mail"), None)
    assert_type(await broker.promote("mail", ["id"]), int)
    assert_type(await broker.dead_letters("mail", limit=10), list[DeadLetter])
    assert_type(await broker.dead_letter("mail", "id"), DeadLetter)
    assert_type(await broker.replay("mail", ["id"]), list[Published])
    assert_type(await broker.purge("mail", older_than=60), int)
    assert_type(await broker.ping(), None)
    assert_type(await broker.hazards(), list[str])
    assert_type(await broker.examine(scan=1000), list[Finding])
    assert_type(await broker.time(), float)
    assert_type((broker.url, broker.is_local, broker.exists), tuple[str, bool, bool])
    assert_type(broker.clone(), Broker)
    assert_type(await broker.aclose(), None)


async def migrated(broker: Broker) -> None:
    """A broker, and its tables"""
    assert_type((broker.migration, await broker.migrate()), tuple[str, bool])


def on_commit(session: Session, asynchronous: AsyncSession, message: Message[int]) -> None:
    """After a commit, of Django or SQLAlchemy"""
    assert_type(ltq.contrib.django.send_on_commit(message, using="default"), SyncHandle[int])
    assert_type(ltq.contrib.sqlalchemy.send_on_commit(session, message), SyncHandle[int])
    assert_type(ltq.contrib.sqlalchemy.send_on_commit(asynchronous, message), Handle[int])


def enlisted(broker: Broker, connection: object) -> None:
    """A broker, in a transaction of yours"""
    assert_type(broker.enlist(connection), Enlisted)


async def kept_schedules(broker: Broker) -> None:
    """Schedules that a broker keeps"""
    assert_type(await broker.remove_schedule("mail", "a"), bool)
    assert_type(await broker.pause_schedule("mail", "a"), bool)
    assert_type(await broker.resume_schedule("mail", "a"), bool)
    assert_type(await broker.schedule_marks(), Mapping[str, int])
    assert_type(await broker.changed_schedules("mail", 0), ScheduleChanges)
    for record in await broker.schedules(["a"]):
        assert_type((record, record.schedule), tuple[ScheduleRecord, KeptSchedule | None])
        if record.schedule is not None:
            assert_type(await broker.put_schedule(record.schedule, 1), bool)


async def queues(broker: Broker, stats: QueueStats, minute: Minute) -> None:
    """A broker's queues"""
    assert_type(await broker.stats(["mail"]), list[QueueStats])
    assert_type(await broker.tasks("mail", status="pending", tag="a"), Page[TaskDetail])
    assert_type((stats.pending, stats.delayed), tuple[int, int])
    assert_type((stats.working, stats.dead), tuple[int, int])
    assert_type((stats.queue, stats.rate), tuple[str, float])
    assert_type(stats.rate_10s, float)
    assert_type((stats.oldest, stats.overdue), tuple[float | None, int])
    assert_type((stats.by_priority, stats.unserved), tuple[Mapping[str, int], Mapping[str, int]])
    assert_type((stats.unserved_oldest, stats.served_ago), tuple[float | None, float | None])
    assert_type((stats.unswept, stats.is_served), tuple[float | None, bool])
    assert_type(stats.paused, bool)
    assert_type(await broker.history("mail", minutes=60), list[Minute])
    assert_type((minute.time, minute.completed, minute.retried), tuple[float, int, int])
    assert_type((minute.wait, minute.run), tuple[Durations, Durations])
    assert_type((minute.run.count, minute.run.sum), tuple[int, float])
    assert_type((minute.run.p50, minute.run.p95), tuple[float | None, float | None])


async def tests(
    box: testing.Box, clock: testing.Clock, broker: testing.FlakyBroker, fault: testing.Fault
) -> None:
    """Tests"""
    assert_type(testing.use(worker, start=datetime.now(UTC)), testing.Box)
    assert_type(testing.sent(maybe), list[Message[Repo | None]])
    assert_type(testing.assert_sent(fetch, "a/b", depth=2), list[Message[Repo]])
    assert_type(testing.assert_sent_once(shout, "a"), Message[str])
    assert_type(testing.assert_not_sent(nothing), None)
    assert_type(await testing.drain(worker, check=True), list[TaskState[Any]])
    assert_type(await box.drain(), list[TaskState[Any]])
    assert_type(box.sent, Sequence[Envelope])
    assert_type(box.running(), list[asyncio.Task[Any]])
    assert_type(box.broker, testing.FlakyBroker)
    assert_type(clock.now, datetime)
    assert_type(await clock.advance(hours=1), None)
    assert_type(await clock.advance_to("2030-01-01T00:00:00Z"), None)
    assert_type(broker.fail("send", next=2), testing.Fault)
    assert_type(fault.heal(), None)
    assert_type(fault.count, int)
    assert_type(broker.slow(0.5), None)
    assert_type(broker.heal(), None)
    assert_type(broker.calls, Counter[str])
