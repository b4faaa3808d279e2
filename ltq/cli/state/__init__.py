"""`ltq state`: everything about tasks."""
