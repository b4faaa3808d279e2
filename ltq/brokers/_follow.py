"""What watching has in common."""
