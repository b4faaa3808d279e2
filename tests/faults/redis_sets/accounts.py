"""What fault tests of replicated servers say of a load, and what holds for each."""

from tests.faults.load import Account

SOON = 3.0
"""Seconds after which work goes on, once the servers agree who is the master."""


def told(what: str, account: Account) -> Account:
    """Print what became of a load, for the figures of the documentation."""
    print(f"MEASURED {what}: {account}")  # noqa: T201
    return account
