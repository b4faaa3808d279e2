"""What is shown: brokers, what was read of them, and how that is kept live."""
