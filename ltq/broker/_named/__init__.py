"""Brokers by their names: where `@name` is declared, what it means, what makes those of a scheme."""
