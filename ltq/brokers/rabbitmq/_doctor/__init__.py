"""Diagnosis: what a client sees, and what the management plugin tells."""
