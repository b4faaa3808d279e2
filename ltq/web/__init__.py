"""The dashboard: queues, tasks, workers and schedules in a browser.

    app.mount("/ltq", ltq.web.dashboard(worker, authorize=who_may))

`ltq web` serves it alone. Needs the extra `ltq[web]`.
"""

from ltq.errors import ConfigurationError

try:
    import jinja2 as _jinja2
    import python_multipart as _multipart
    import starlette as _starlette
except ImportError as _error:
    raise ConfigurationError(f"ltq.web needs {_error.name}: pip install 'ltq[web]'") from _error

from ltq.web.access import Access, Authorize, Level, Redact
from ltq.web.app import dashboard

__all__ = ["Access", "Authorize", "Level", "Redact", "dashboard"]

del _jinja2, _multipart, _starlette
