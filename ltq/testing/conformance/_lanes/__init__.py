"""About lanes: who serves them, and which tasks move to them."""
