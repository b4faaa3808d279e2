"""Claiming tasks from Redis, and waiting until there are some."""
