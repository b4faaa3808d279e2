"""The rules of every transition of a task, once for all brokers."""
