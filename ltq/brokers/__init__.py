"""The stores LTQ comes with, one folder each. `Broker.from_url` picks one by the URL's scheme."""
