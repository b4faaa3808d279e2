"""Examples: each module is a worker (`ltq run examples.NAME:worker`) and a producer for it
(`python -m examples.NAME`)."""
