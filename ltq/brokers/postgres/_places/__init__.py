"""What the rules need of a namespace, in tables of PostgreSQL."""
