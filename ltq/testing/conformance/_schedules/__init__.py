"""Schedules that are put, paused and removed while schedulers run."""
