"""`ltq run`: workers, until they are told to stop."""
