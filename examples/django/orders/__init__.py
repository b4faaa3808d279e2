"""Orders: tasks of LTQ, sent when their order is in the database."""
