"""Middleware that only watches."""

from ltq.middleware.base import Middleware


class Observer(Middleware):
    """A middleware that only watches: it sees how each run ended, wherever it is registered.

        class Endings(Observer):
            @asynccontextmanager
            async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
                error: BaseException | None = None
                try:
                    yield
                except BaseException as raised:
                    error = raised
                    raise
                finally:
                    print(task.name, ending_of(error))

    Observers are entered before all other middleware of a worker, in the order in which they were
    registered. So what is raised at the `yield` is how the run ended, in the end: a `RetryError`
    for one that is repeated, a `RejectError` for one that was too old, an error of the task that
    is not retried, of a result that cannot be encoded, or of a timeout. An `asyncio.CancelledError`
    means that the run was cancelled, that its lease was lost, or that the worker stopped. A message
    that cannot be decoded is rejected as well, and then has no arguments here. A message of a task
    that the worker does not know is no run.

    An observer changes nothing: an error of its own is logged, and how the run ends stays as it is.
    For a task with a `timeout`, it has a second to begin and a second to end.

    Its `on_send` is called after that of all other middleware, so a message that they refuse is not
    seen.
    """

    @property
    def reports_to(self) -> object:
        """Where it reports to: itself, or something that it shares with other observers.

        Of several observers of one worker that report to the same object, such as one registry of
        metrics, only the first is used. So each run is seen once, also if an observer was
        registered both for an `App` and for its worker.
        """
        return self
