"""Taking tasks over a connection of the user's, as part of its transaction."""
