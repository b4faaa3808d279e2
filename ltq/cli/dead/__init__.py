"""`ltq dead`: failed and rejected tasks."""
