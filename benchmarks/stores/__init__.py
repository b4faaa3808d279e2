"""The stores that LTQ is measured on. What one of them needs is imported when it is asked for."""

import importlib

from benchmarks.stores.store import Store

STORES = ("redis", "sqlite", "postgres")
"""Their names. Each has a module here."""


def store_class(name: str) -> type[Store]:
    """One of them by its name."""
    found: type[Store] = importlib.import_module(f"benchmarks.stores.{name}_store").STORE
    return found
