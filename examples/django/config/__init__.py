"""The project: settings, URLs, servers."""
