"""What a worker does beside its tasks: it repairs queues, and warns of what stands still."""
