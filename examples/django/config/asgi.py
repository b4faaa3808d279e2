"""For a server such as uvicorn: the project, and beside it the dashboard for its staff."""

import os

from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.routing import Mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
site = get_asgi_application()  # first: it loads the settings and the apps

from ltq.contrib.django.project import project_workers  # noqa: E402
from ltq.contrib.django.staff import staff_may  # noqa: E402
from ltq.web import dashboard  # noqa: E402

board = dashboard(*project_workers(), authorize=staff_may)
application = Starlette(routes=[Mount("/ltq", board), Mount("/", site)])
