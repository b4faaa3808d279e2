"""What a shell completes beside commands and options: queues, and targets in the user's code."""
