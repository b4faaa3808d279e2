"""What is measured under one kind of fault each."""
