"""The rules about workflows: what is kept of tasks that end, and of tasks that wait for others."""
