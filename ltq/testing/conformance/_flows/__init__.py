"""Workflows: what a store keeps of them, and workers that carry them on."""
