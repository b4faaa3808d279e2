"""Sends tasks to the worker `shop`, and hears what becomes of them: with pika, without LTQ.

python -m examples.rabbitmq.outside 7 8
"""

import json
import os
import sys
import uuid

import pika

FINAL = {"completed", "failed", "rejected", "cancelled"}


def main(orders: list[int]) -> int:
    """Send a task for each order; print how each ended. Returns the exit code."""
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
    prefix = os.environ.get("LTQ_PREFIX", "ltq")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    events = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(events, f"{prefix}.events", routing_key="shop.checkout.*")

    waiting = {f"order-{order}-{uuid.uuid4().hex[:8]}": order for order in orders}
    for task_id, order in waiting.items():
        call = {"task": "shop:checkout", "args": [order], "id": task_id}
        channel.basic_publish(
            exchange=prefix,
            routing_key=f"{prefix}.shop",
            body=json.dumps(call).encode(),
            properties=pika.BasicProperties(delivery_mode=2),
            mandatory=True,  # without a queue this raises
        )

    code = 0
    for _, _, body in channel.consume(events, auto_ack=True, inactivity_timeout=30):
        if body is None:
            print("no answer for 30 s")
            return 1
        event = json.loads(body)
        if event["id"] in waiting and event["event"] in FINAL:
            del waiting[event["id"]]
            print(event["event"], event["result"] or event["error"])
            code = code if event["event"] == "completed" else 1
        if not waiting:
            break
    connection.close()
    return code


if __name__ == "__main__":
    sys.exit(main([int(order) for order in sys.argv[1:]] or [7, 8]))
