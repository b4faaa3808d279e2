"""`ltq metrics`: a broker's metrics, without a worker."""
