"""Lane groups whose node of a cluster does not serve them: the others are served meanwhile."""

import asyncio
import logging
from collections.abc import Callable

from ltq._aio.backoff import ExponentialBackoff
from ltq._aio.service import Service
from ltq.brokers.redis._consumer.lane_group import LaneGroup
from ltq.brokers.redis._scripts import calls
from ltq.errors import BrokerError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


class Away(Service):
    """Tries each such group, in the background, until its node serves it; then calls `on_back`.

    Each trial says that its lanes are served, for `lease` seconds. As a claim it is a script that
    writes: a node may answer what only reads, and still refuse every claim.
    """

    def __init__(self, lease: float, on_back: Callable[[], object]) -> None:
        super().__init__("ltq-redis-away", logging.getLogger("ltq.broker"))
        self._lease = lease
        self._on_back = on_back
        self.errors: dict[LaneGroup, BrokerError] = {}
        """What went wrong last, by group."""

    def note(self, group: LaneGroup, error: BrokerError) -> None:
        """A claim from a group has failed."""
        level = logging.DEBUG if group.was_away else logging.WARNING
        text = "%s is left out until its node serves it: %s"
        self._logger.log(level, text, group.namespace, error)
        self.errors[group], group.was_away = error, True
        self._spawn(self._try(group), "try")

    async def _try(self, group: LaneGroup) -> None:
        pauses = ExponentialBackoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        call = calls.ServeCall(prefix=group.prefix, duration=self._lease, lanes=[*group.served])
        while group in self.errors:
            await asyncio.sleep(pauses.next())
            try:
                await group.link.evaluate(call)
            except BrokerError as error:
                self.errors[group] = error
                if not error.is_refusal:  # otherwise a claim has to find out what it means
                    continue
            del self.errors[group]
            self._on_back()
