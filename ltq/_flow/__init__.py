"""Workflows on their way: what travels with each task, and how one step leads to the next."""
