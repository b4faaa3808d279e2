"""What forms do, one file for each kind of thing."""
