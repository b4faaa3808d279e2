"""From a call of `task.send` to the broker's `publish`."""
