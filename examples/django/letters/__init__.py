"""Letters: tasks of Django 6, run by LTQ."""
