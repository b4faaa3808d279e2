"""`ltq doctor`: findings about brokers, each with advice."""
