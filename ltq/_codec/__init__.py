"""Arguments and results to bytes and back."""
