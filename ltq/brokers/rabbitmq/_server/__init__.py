"""The server: its URL and names, connections to it, what it is given, and what its errors mean."""
