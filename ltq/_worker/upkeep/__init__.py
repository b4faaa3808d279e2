"""What a worker does beside its tasks.

It announces itself, repairs queues, and warns of what stands still.
"""
