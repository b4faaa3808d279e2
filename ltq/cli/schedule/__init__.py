"""`ltq schedule`: tasks enqueued on their schedules."""
