"""The diagnosis of a Redis server and of LTQ's keys on it."""
