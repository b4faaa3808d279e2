"""About moving: tasks and schedules are handed to another store, and taken over."""
