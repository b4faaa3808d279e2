"""The stores LTQ comes with, one module each. `Broker.from_url` picks one by the URL's scheme."""
