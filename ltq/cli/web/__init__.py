"""`ltq web`: the dashboard."""

from ltq.errors import ConfigurationError

try:
    import argon2 as _argon2
    import jinja2 as _jinja2
    import python_multipart as _multipart
    import starlette as _starlette
    import uvicorn as _uvicorn
except ImportError as _error:
    raise ConfigurationError(f"ltq web needs {_error.name}: pip install 'ltq[web]'") from _error

del _argon2, _jinja2, _multipart, _starlette, _uvicorn
