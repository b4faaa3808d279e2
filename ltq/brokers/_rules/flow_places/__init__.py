"""What the rules need from a store for workflows."""
