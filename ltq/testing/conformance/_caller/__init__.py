"""What a caller sees: `send`, handles, waiting for many tasks, and the synchronous API."""
