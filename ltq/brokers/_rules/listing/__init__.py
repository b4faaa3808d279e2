"""What is seen from outside: tasks page by page, counts of queues, and workers."""
