"""A task that yields items, and was sent."""

from collections.abc import Callable
from typing import Any, Generic

from typing_extensions import TypeVar

from ltq.broker import BrokerSource
from ltq.handle import Handle
from ltq.options import check_wait
from ltq.streams.stream import Stream, collect, present_items

T_co = TypeVar("T_co", covariant=True, default=Any)


class StreamHandle(Handle[int], Generic[T_co]):
    """A `Handle` of a task that yields items. Its result is the number of items."""

    __slots__ = ("_decode_item",)

    def __init__(
        self,
        source: BrokerSource,
        task_id: str,
        *,
        task_name: str,
        queue: str,
        decode: Callable[[bytes, str], Any],
        decode_item: Callable[[bytes], Any],
        result_ttl: float,
        timeout: float | None = None,
    ) -> None:
        """`decode_item` takes the bytes of an item, the rest is as for `Handle`."""
        super().__init__(
            source,
            task_id,
            task_name=task_name,
            queue=queue,
            decode=decode,
            result_ttl=result_ttl,
            timeout=timeout,
        )
        self._decode_item = decode_item

    def stream(self, after: str | None = None, timeout: float | None = None) -> Stream[T_co]:
        """The items: those that were yielded already, then each as it comes, until the task ends.

        With `after`, a `cursor` of a stream of this task, it goes on behind it. If the task has
        begun again since then, it begins with the first item. Raises `ConfigurationError` for any
        other value, and for a wrong `timeout`; what the iteration raises is at `Stream`, with
        `ResultTimeoutError` if the task has not ended `timeout` seconds after it began.
        """
        check_wait(timeout)
        return Stream(
            self._broker,
            self.queue,
            self.id,
            decode=self._decode_item,
            told=self._told,
            after=after,
            timeout=timeout,
        )

    async def collect(self, timeout: float | None = None) -> list[T_co]:
        """Wait for the end, and return the items of the last attempt.

        Those that are not kept any more are not among them. Raises what `result` raises.
        """
        return await collect(self.stream(timeout=timeout))

    async def present_items(self) -> list[T_co]:
        """The items that there are now, without waiting for more.

        They are those of the last attempt. Raises `TaskNotFoundError`, `BrokerError`.
        """
        return await present_items(self._broker(), self.queue, self.id, self._decode_item)

    async def rerun(self) -> "StreamHandle[T_co]":
        """See `Handle.rerun`."""
        handle = await super().rerun()
        return StreamHandle(
            self._source,
            handle.id,
            task_name=self.task_name,
            queue=self.queue,
            decode=self._decode,
            decode_item=self._decode_item,
            result_ttl=self._result_ttl,
            timeout=self._timeout,
        )
