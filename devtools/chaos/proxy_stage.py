"""A stage whose `remote` way to the store leads through a proxy."""

import asyncio
from collections.abc import Mapping

from devtools.chaos.stage import Stage, Way
from devtools.chaos.timeline import Fault, Kind
from devtools.proxy import Proxy

DROP_SHARE = 0.1
"""How many of the replies are lost while replies are."""


class ProxyStage(Stage):
    """Hurts the way that leads through `proxy`."""

    proxy: Proxy

    @property
    def proxy_ways(self) -> Mapping[Kind, Way]:
        """The faults that are done there."""
        return {"reset": self._reset, "hole": self._hole, "drop": self._drop}

    async def _reset(self, _: Fault) -> bool:
        self.proxy.reset_all()
        return True

    async def _hole(self, fault: Fault) -> bool:
        self.proxy.mode = "hole"
        await asyncio.sleep(fault.seconds)
        self.proxy.mode = "pass"
        return True

    async def _drop(self, fault: Fault) -> bool:
        self.proxy.drop_share = DROP_SHARE
        await asyncio.sleep(fault.seconds)
        self.proxy.drop_share = 0.0
        return True
