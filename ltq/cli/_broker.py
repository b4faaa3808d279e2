"""The broker that a command talks to, and the tasks in it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from ltq.broker import Broker
from ltq.cli._known import read_queue
from ltq.errors import TaskNotFoundError
from ltq.logger import printable
from ltq.names import check_name
from ltq.state import TaskState
from ltq.worker import URL_VARIABLE, default_broker_url

LOCAL_BROKER = "%s is in this process's memory: no other process can reach it"
"""The warning about a broker that only this process can use, for the broker's URL."""


@asynccontextmanager
async def open_broker(url: str | None) -> AsyncIterator[Broker]:
    """Open the broker at a URL, or the default one, and close it afterwards."""
    broker = Broker.from_url(url or default_broker_url())
    if broker.is_local:
        warn_local(broker)
    async with broker:
        yield broker


def warn_local(broker: Broker) -> None:
    """Print to stderr that no other process can reach the tasks in this broker."""
    click.echo(f"ltq: warning: {LOCAL_BROKER % printable(broker.url)}", err=True)


def export_broker_url(url: str | None) -> None:
    """Set `LTQ_BROKER_URL` to `--broker-url`, for the import of the user's module.

    Raises `ConfigurationError` for a wrong URL, before anything is imported.
    """
    if url is not None:
        Broker.from_url(url)
        os.environ[URL_VARIABLE] = url


async def find_task(broker: Broker, task_id: str, queue: str | None = None) -> TaskState[bytes]:
    """Return the state of a task, in the namespace of a queue or in any.

    Raises `TaskNotFoundError`, and `CommandError` if the broker does not know the queue.
    """
    if queue is None:
        state = await broker.find(task_id)
    else:
        (state,) = await broker.states(check_name("queue", queue), [task_id])
        if state is None:
            await read_queue(broker, queue)
    if state is None:
        raise TaskNotFoundError(task_id)
    return state
