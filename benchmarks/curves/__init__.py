"""How the cost of each step grows with how much there is: `python -m benchmarks scale`."""
