"""`{% ltq_dashboard_url %}`: where the dashboard is, for the admin."""

from typing import Any

from django import template
from django.conf import settings

register: Any = template.Library()


def ltq_dashboard_url() -> str:
    """The setting `LTQ_DASHBOARD_URL`; empty without it."""
    return str(getattr(settings, "LTQ_DASHBOARD_URL", None) or "")


register.simple_tag(ltq_dashboard_url)
