"""A chat whose answers stream to a page."""
