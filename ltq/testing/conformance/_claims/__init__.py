"""What a claim gives: in which order, and within which limits."""
