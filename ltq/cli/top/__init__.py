"""`ltq top`: queues, workers and running tasks, live."""
