"""A worker behind RabbitMQ, and a program that reaches it without LTQ."""
