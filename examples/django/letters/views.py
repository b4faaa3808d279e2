"""The views of the app."""

from django.http import HttpRequest, JsonResponse
from django.tasks import default_task_backend
from django.tasks.exceptions import TaskResultDoesNotExist
from django.views.decorators.http import require_GET, require_POST

from letters.tasks import post, write


@require_POST
def send(request: HttpRequest) -> JsonResponse:
    """Enqueue a letter."""
    result = write.enqueue(request.POST.get("name", ""), lines=2)
    return JsonResponse({"id": result.id, "url": f"/letters/{result.id}"}, status=202)


async def send_now(request: HttpRequest) -> JsonResponse:
    """Enqueue one from a coroutine, before the others."""
    result = await post.using(priority=10).aenqueue(request.POST.get("name", ""))
    return JsonResponse({"id": result.id, "url": f"/letters/{result.id}"}, status=202)


@require_GET
def show(request: HttpRequest, result_id: str) -> JsonResponse:
    """What became of a letter."""
    try:
        result = default_task_backend.get_result(result_id)
    except TaskResultDoesNotExist:
        return JsonResponse({"error": "no such letter"}, status=404)
    letter = result.return_value if result.status == "SUCCESSFUL" else None
    errors = [error.exception_class_path for error in result.errors]
    return JsonResponse({"status": result.status, "letter": letter, "errors": errors})
