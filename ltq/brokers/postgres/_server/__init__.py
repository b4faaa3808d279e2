"""The server: connections of one event loop, calls on them, and what is heard from it."""
