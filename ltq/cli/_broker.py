"""The broker that a command talks to, and the tasks in it."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import click

from ltq.broker import Broker
from ltq.broker._named.resolve import broker_names, primary_name, resolve
from ltq.broker.default import URL_VARIABLE, BrokerChoice, broker_at
from ltq.cli._known import read_queue
from ltq.errors import ConfigurationError, LtqError, TaskNotFoundError
from ltq.logger import printable
from ltq.names import check_name, is_name
from ltq.state import TaskState

LOCAL_BROKER = "%s is in this process's memory: no other process can reach it"
"""The warning about a broker that only this process can use, for the broker's URL."""


@asynccontextmanager
async def open_broker(url: str | None) -> AsyncIterator[Broker]:
    """Open the broker of a URL or a name, or the default one, and close it afterwards."""
    broker = broker_at(url or None)
    if not url:
        _warn_without_primary(broker)
    with told_of_store(broker):
        async with broker:
            yield broker


@contextmanager
def told_of_store(broker: Broker) -> Iterator[None]:
    """Print to stderr if only this process reaches the tasks, or if their store is made here.

    In the wrong folder a relative path leads to a new store.
    """
    if broker.is_local:
        _warn(LOCAL_BROKER % broker.url)
    existed = broker.exists
    try:
        yield
    finally:
        if broker.exists and not existed:
            _warn(f"{broker.url} was not there: it is new")


def warn_of_store(broker: Broker) -> None:
    """Print to stderr if only this process reaches the tasks, or if their store is not there yet.

    For what runs long; other commands use `told_of_store`.
    """
    if broker.is_local:
        _warn(LOCAL_BROKER % broker.url)
    elif not broker.exists:
        _warn(f"{broker.url} is not there: it will be new")


class BrokerToOpen(NamedTuple):
    """One of the brokers that a command is about."""

    name: str
    """What it is called beside others; empty for the only one."""
    url: str | None
    """What `open_broker` takes."""

    def reason(self, error: LtqError) -> str:
        """Why it cannot be had, to be shown behind its name."""
        return str(error).removeprefix(f"{self.name}, ")


def brokers_to_open(url: str | None) -> list[BrokerToOpen]:
    """The brokers of a command about all of them: those with names, if no URL was given.

    What `LTQ_BROKER_URL` says comes first, if it is none of them. If no broker has a name, it is
    the default one. Raises `ConfigurationError` for a file of names with a mistake.
    """
    names = [] if url else [f"@{name}" for name in broker_names()]
    if not names:
        return [BrokerToOpen("", url)]
    told = os.environ.get(URL_VARIABLE)
    is_other = told and told not in [*names, *(_url_of(name) for name in names)]
    others = [BrokerToOpen(URL_VARIABLE, told)] if is_other else []
    return [*others, *(BrokerToOpen(name, name) for name in names)]


def _url_of(name: str) -> str | None:
    """What a name stands for; None if that cannot be told."""
    try:
        return resolve(name).url
    except ConfigurationError:
        return None


def _warn_without_primary(broker: Broker) -> None:
    """Print to stderr that brokers have names, but this is none of them."""
    if os.environ.get(URL_VARIABLE) or primary_name() is not None or not broker_names():
        return
    shown = ", ".join(f"@{name}" for name in broker_names())
    _warn(f"none of {shown} is primary, so this is about {broker.url}")


def _warn(text: str) -> None:
    click.echo(f"ltq: warning: {printable(text)}", err=True)


def export_broker_url(url: str | None) -> None:
    """Set `LTQ_BROKER_URL` to `--broker-url`, for the import of the user's module.

    Raises `ConfigurationError` for a wrong URL, before anything is imported. A name is looked up
    later: the module may declare it.
    """
    if url is not None:
        BrokerChoice(None, url)
        os.environ[URL_VARIABLE] = url


async def find_task(broker: Broker, task_id: str, queue: str | None = None) -> TaskState[bytes]:
    """Return the state of a task, in the namespace of a queue or in any.

    Raises `TaskNotFoundError`, and `CommandError` if the broker does not know the queue.
    """
    if not is_name(task_id):  # no task has such an id
        raise TaskNotFoundError(task_id)
    if queue is None:
        state = await broker.find(task_id)
    else:
        (state,) = await broker.states(check_name("queue", queue), [task_id])
        if state is None:
            await read_queue(broker, queue)
    if state is None:
        raise TaskNotFoundError(task_id)
    return state
