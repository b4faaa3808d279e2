"""What the pages read, one file for each."""
