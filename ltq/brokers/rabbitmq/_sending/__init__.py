"""Sending a task both ways: into RabbitMQ, and into the store, if that is there."""
