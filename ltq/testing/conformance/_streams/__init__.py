"""What the suite asks of a broker about the items of streams."""
