"""How fast LTQ is, on the machine it runs on: `python -m benchmarks`."""
