"""Two brokers with names: `cd examples/two_brokers`, then `ltq run --app shop:app`."""
