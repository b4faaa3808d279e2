"""What a running scheduler is made of."""
