"""How tasks are shown to people, and what errors say."""
