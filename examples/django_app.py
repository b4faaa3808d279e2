"""Django in one file: a view sends a task, another shows its state.

    ltq run examples.django_app:worker               # in one terminal
    python -m examples.django_app runserver          # in another

    curl -d words='the quick brown fox' http://127.0.0.1:8000/texts
    curl http://127.0.0.1:8000/texts/ID

Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379. `application` is for a server
such as gunicorn. `asgi` is for one such as uvicorn, and has the dashboard at /ltq:

    uvicorn examples.django_app:asgi --timeout-graceful-shutdown 5

In a project of several files, `worker` and its tasks are in a module of an app,
which calls `django.setup()` before it imports models.
"""

import os
import sys
import time
from collections import Counter

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

import ltq
from ltq.web import Level, dashboard

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        ROOT_URLCONF=__name__,
        SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    )
    django.setup()

worker = ltq.Worker("texts")


@worker.task(max_tries=3)
def count(words: str) -> dict[str, int]:
    """Count words. A plain `def`: the worker runs it in a thread, so it may use Django's ORM."""
    time.sleep(0.1)  # stands in for the work
    return dict(Counter(words.lower().split()).most_common(10))


def send(request: HttpRequest) -> JsonResponse:
    """Send a text to the workers, and answer where its result will be."""
    handle = count.send_sync(request.POST.get("words", ""))
    return JsonResponse({"id": handle.id, "url": f"/texts/{handle.id}"}, status=202)


def show(request: HttpRequest, text_id: str) -> JsonResponse:
    """The state of a text. This process needs only the id."""
    try:
        state = count.handle_sync(text_id).state()
    except ltq.TaskNotFoundError as error:
        return JsonResponse({"error": str(error)}, status=404)
    return JsonResponse({"status": state.status, "words": state.result, "error": state.error})


urlpatterns = [
    path("texts", require_POST(send)),
    path("texts/<str:text_id>", require_GET(show)),
]
application = get_wsgi_application()


def who_may(_: Request) -> Level:
    """Everybody may look at the dashboard. A real project asks its sessions."""
    return "read"


asgi = Starlette(
    routes=[
        Mount("/ltq", dashboard(worker, authorize=who_may)),
        Mount("/", get_asgi_application()),
    ]
)

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
