"""Several Redis servers that belong together, for tests: a Sentinel set, and a Redis Cluster."""
