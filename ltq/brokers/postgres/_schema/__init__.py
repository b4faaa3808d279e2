"""What LTQ keeps in a schema of its own: the tables and functions, made and upgraded."""
