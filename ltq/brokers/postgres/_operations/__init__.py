"""What the broker does with its connections: the calls of the functions in `sql/`."""
