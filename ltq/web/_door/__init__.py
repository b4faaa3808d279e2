"""Who gets in, and what every request and answer must have."""
