"""Lane groups whose node of a cluster cannot be reached: the others are served meanwhile."""

import asyncio
import logging
from collections.abc import Callable

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.errors import BrokerError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


class Away(Service):
    """Asks for each such group, in the background, until its node answers; then calls `on_back`."""

    def __init__(self, on_back: Callable[[], object]) -> None:
        super().__init__("ltq-redis-away", logging.getLogger("ltq.broker"))
        self._on_back = on_back
        self.errors: dict[LaneGroup, BrokerError] = {}
        """What went wrong last, by group."""

    def note(self, group: LaneGroup, error: BrokerError) -> None:
        """A claim from a group has failed."""
        self._logger.warning("%s is left out until its node answers: %s", group.namespace, error)
        self.errors[group] = error
        self._spawn(self._ask(group), "ask")

    async def _ask(self, group: LaneGroup) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while group in self.errors:
            await asyncio.sleep(pauses.next())
            try:
                await group.link.call("EXISTS", group.link.keys.lanes(group.namespace))
            except BrokerError as error:
                self.errors[group] = error
            else:
                del self.errors[group]
                self._on_back()
