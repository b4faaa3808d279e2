"""`ltq tasks`: the tasks of a queue."""
