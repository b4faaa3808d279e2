"""`ltq cancel` and `ltq rerun`."""
