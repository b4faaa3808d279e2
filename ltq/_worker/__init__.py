"""What a running worker is made of."""
