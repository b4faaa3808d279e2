"""Programs and parts for those who work on LTQ: real servers, worker processes, faults, checks.

Tests and benchmarks stand on it; nothing in `ltq` does.
"""
