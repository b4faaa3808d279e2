"""The dashboard as an ASGI application."""

from typing import Any

from starlette.types import ASGIApp

from ltq.broker import Broker
from ltq.web._app import make_app
from ltq.web._door.gate import AuthorizeGate
from ltq.web._source.site import make_site
from ltq.web.access import Authorize, Redact
from ltq.worker import Worker


def dashboard(
    *workers_or_brokers: Worker[Any] | Broker,
    authorize: Authorize | None,
    read_only: bool = False,
    redact: Redact | None = None,
) -> ASGIApp:
    """The dashboard of some brokers, to be mounted in an application, below any prefix.

        app.mount("/ltq", dashboard(worker, authorize=who_may))

    `authorize(request)` returns `"read"`, `"write"` or None, or an `Access` with the name of who
    acts, and may be a coroutine function. `authorize=None` says that what stands around it decides:
    everybody who reaches it may do everything. With `read_only` nobody may act. `redact(task_name,
    value)` returns what may be shown of arguments, results and notes. Of a worker, the broker is
    shown, and its tasks can be sent with other arguments. Raises `ConfigurationError`.
    """
    site = make_site(workers_or_brokers, read_only=read_only, redact=redact)
    return make_app(site, AuthorizeGate(authorize))
