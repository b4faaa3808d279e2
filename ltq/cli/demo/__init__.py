"""`ltq demo`: worker processes and a producer on a SQLite file."""
