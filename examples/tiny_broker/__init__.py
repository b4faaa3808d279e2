"""A whole broker in small files, with nothing but public names of LTQ. See docs/broker.md."""

from examples.tiny_broker.broker import TinyBroker

__all__ = ["TinyBroker"]
