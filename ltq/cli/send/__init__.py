"""`ltq send`: one task, sent from a shell."""
