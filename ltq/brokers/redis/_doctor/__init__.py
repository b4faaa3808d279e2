"""What is right and wrong about a Redis server and what LTQ keeps there."""
