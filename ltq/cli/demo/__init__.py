"""`ltq demo`: a worker and a producer in one process."""
