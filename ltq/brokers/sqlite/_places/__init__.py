"""What the rules need of a namespace, in the tables of the file."""
