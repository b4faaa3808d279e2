"""One task on a terminal, live: for `ltq send --wait` and `ltq watch`."""
