"""Steering from outside: queues are paused, tasks are promoted, sent once more, and moved."""
