"""Wake-ups between the processes that share a database file, with a slow poll as cover."""
