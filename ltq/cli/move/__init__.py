"""`ltq move`: tasks, dead letters and schedules go to another broker."""
