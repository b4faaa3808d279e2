"""Listing tasks, page by page."""
