"""Telling other programs what becomes of tasks."""
