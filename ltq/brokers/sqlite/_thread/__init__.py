"""The one thread of a process in which a file is open, and what it tells."""
