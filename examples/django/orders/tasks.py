"""The tasks of the app. `manage.py ltq_worker` finds this module by its name."""

import ltq
from orders.models import Order

worker = ltq.Worker("orders")


@worker.task(max_tries=3)
def price(order_id: int) -> float:
    """Price an order. A plain `def` runs in a thread, where the ORM may be used."""
    order = Order.objects.get(pk=order_id)
    total = 2.5 * int(order.amount)
    order.price = total
    order.save(update_fields=["price"])
    return total


@worker.task
async def count() -> int:
    """How many orders there are. A coroutine uses the asynchronous part of the ORM."""
    return int(await Order.objects.acount())
