"""RabbitMQ in front of another store: `amqp://host/vhost?state=URL`."""

from ltq.brokers.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
