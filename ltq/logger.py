"""LTQ's loggers. Nothing is printed unless the program, or the command line, sets logging up."""

import logging


def get_logger(name: str = "ltq") -> logging.Logger:
    """The logger `ltq`, or `ltq.{name}`."""
    return logging.getLogger(name if name == "ltq" else f"ltq.{name}")
