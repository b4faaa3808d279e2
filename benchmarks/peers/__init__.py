"""The task queues that are compared: one small file each, run in an environment of its own."""
