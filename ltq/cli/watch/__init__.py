"""`ltq watch`: one task, live until it ends."""
