"""What may forbid sends in this process: a box of `ltq.testing`."""

from collections.abc import Callable

from ltq.broker import BrokerSource

Guard = Callable[[str, BrokerSource], None]
"""Called with the name of a task that is to be sent, and its worker. Raises to forbid that."""

guards: list[Guard] = []
"""Most often empty."""
