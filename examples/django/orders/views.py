"""The views of the app."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST

import ltq
from ltq.contrib.django import send_on_commit
from orders.models import Order
from orders.tasks import count, price


@require_POST
@transaction.atomic
def order(request: HttpRequest) -> JsonResponse:
    """Store an order. Its task is sent with the commit, so that a worker finds the order."""
    article, amount = request.POST.get("article", ""), int(request.POST.get("amount", 1))
    made = Order.objects.create(article=article, amount=amount)
    handle = send_on_commit(price.message(made.pk))
    if not article:
        transaction.set_rollback(True)
        return JsonResponse({"error": "no article", "task": handle.id}, status=400)
    answer = {"order": made.pk, "task": handle.id, "url": f"/orders/{made.pk}/{handle.id}"}
    return JsonResponse(answer, status=202)


@require_GET
def show(request: HttpRequest, order_id: int, task_id: str) -> JsonResponse:
    """An order, and the state of its task."""
    found = Order.objects.filter(pk=order_id).first()
    try:
        state = price.handle_sync(task_id).state()
    except ltq.TaskNotFoundError as error:
        return JsonResponse({"error": str(error)}, status=404)
    stored = None if found is None else found.price
    return JsonResponse({"status": state.status, "result": state.result, "price": stored})


async def total(request: HttpRequest) -> JsonResponse:
    """How many orders there are, by a worker: a view that waits for a result."""
    handle = await count.send()
    return JsonResponse({"orders": await handle.result(timeout=30)})
