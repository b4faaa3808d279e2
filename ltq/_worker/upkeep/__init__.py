"""What a worker does beside its tasks.

It announces itself, repairs queues, carries workflows on, and warns of what stands still.
"""
