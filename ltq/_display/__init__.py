"""How tasks are shown to people."""
