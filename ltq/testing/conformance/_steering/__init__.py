"""About steering: queues are paused and resumed, and delayed tasks start now."""
