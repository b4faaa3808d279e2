"""The chaos run: tasks of every kind, faults that a seed draws, and an audit at the end."""
