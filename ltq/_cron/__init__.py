"""When cron expressions are due."""

from ltq._cron.expression import Cron, parse_cron, parse_zone

__all__ = ["Cron", "parse_cron", "parse_zone"]
