"""What is raised for a schema that cannot be used."""

from ltq.errors import BrokerError


class SchemaError(BrokerError):
    """The schema cannot be used as it is. Repeating the call would not help."""

    is_away = False
