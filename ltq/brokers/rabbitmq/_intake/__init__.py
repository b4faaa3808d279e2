"""What comes out of RabbitMQ, on its way into the store."""
