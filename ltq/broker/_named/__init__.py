"""Brokers by name: where `@name` is declared, what it means, and what makes those of a scheme."""
