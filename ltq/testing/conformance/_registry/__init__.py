"""About the registry of workers: which there are, and whether each lives."""
