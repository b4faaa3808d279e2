"""The rules about streams: the items of tasks that yield."""
