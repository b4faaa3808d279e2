"""What lies between a call of `task.send` and the broker's `publish`."""
