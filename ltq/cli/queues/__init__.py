"""`ltq stats`, `ltq size`, `ltq clear`: queues."""
