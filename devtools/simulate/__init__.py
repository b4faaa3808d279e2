"""Simulated days: workers, producers and watchers on one event loop, and a store that fails.

Time is that of a clock of `ltq.testing`, and all that is left to chance comes from a seed, so a day
that goes wrong can be lived again: `python -m devtools.simulate --seed N --days 1`.
"""
