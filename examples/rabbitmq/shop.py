"""A worker that takes orders, also from programs that know nothing of LTQ.

ltq run examples.rabbitmq.shop:worker --broker-url 'amqp://localhost/?state=sqlite:////tmp/shop.db'
"""

import ltq

worker = ltq.Worker("shop")


@worker.task
async def checkout(order: int, *, currency: str = "EUR") -> str:
    """Take an order."""
    if order < 1:
        raise ltq.RejectError(f"there is no order {order}")
    return f"order {order} is paid in {currency}"
