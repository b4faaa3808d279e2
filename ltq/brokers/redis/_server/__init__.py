"""The server: its keys, the connections and calls to it, what it says of itself."""
