"""`ltq history`: the last minutes of a queue."""
