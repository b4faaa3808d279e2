"""Brokers with names, `@name` in place of a URL: where they are declared, and what a name means."""
