"""Waiting at the start for a broker that is not there yet, as when both are started together."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import first_of
from ltq._aio.signals import stop_on_signals
from ltq.broker import Broker
from ltq.cli._errors import CommandError
from ltq.errors import BrokerError
from ltq.logger import get_logger
from ltq.worker import Worker

logger: logging.Logger = get_logger("cli")

_QUIET = 1.0
"""Seconds after which it is told that a broker is waited for."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts."""


async def wait_for_brokers(workers: Iterable[Worker[Any]], patience: float) -> None:
    """Wait until the workers' brokers answer, for up to `patience` seconds in all.

    Raises `CommandError` if one does not, and `BrokerError` at once if it refuses the user or
    password, which waiting does not mend.
    """
    if patience <= 0:
        return  # the worker asks once itself
    await _wait_for_all(workers, patience)


async def _wait_for_all(workers: Iterable[Worker[Any]], patience: float) -> None:
    deadline = asyncio.get_running_loop().time() + patience
    brokers = {worker.broker.url: worker.broker for worker in workers}
    for broker in brokers.values():
        # Connections of its own: an App uses its brokers in other event loops.
        async with broker.clone() as own:
            await _wait(own, patience, deadline)


async def stopped_while_waiting(workers: Iterable[Worker[Any]], patience: float) -> bool:
    """Do the same, for the workers of other processes: without patience, ask once.

    Returns whether a signal came meanwhile, which ends the wait.
    """
    stopped = asyncio.Event()
    with stop_on_signals(lambda _: stopped.set()):
        await first_of(_wait_for_all(workers, patience), stopped.wait(), name="ltq-wait")
    return stopped.is_set()


async def _wait(broker: Broker, patience: float, deadline: float) -> None:
    loop, pauses = asyncio.get_running_loop(), ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    text = "waiting up to %g s for the broker at %s"
    told = loop.call_later(_QUIET, logger.warning, text, patience, broker.url)
    last: BrokerError | None = None
    try:
        while True:
            try:
                # The first attempt is not cut short: it says why there is no answer.
                async with asyncio.timeout_at(None if last is None else deadline):
                    await broker.ping()
                break
            except BrokerError as error:
                if not error.is_away:
                    raise
                last = error
            except TimeoutError:
                pass
            if loop.time() >= deadline:
                raise CommandError(f"no broker within {patience:g} s: {last}") from last
            await asyncio.sleep(min(pauses.next(), max(0.0, deadline - loop.time())))
    finally:
        told.cancel()
    if loop.time() >= told.when():
        logger.info("the broker at %s answers", broker.url)
