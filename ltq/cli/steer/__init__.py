"""`ltq pause`, `ltq resume`, `ltq promote`: steering queues and tasks."""
