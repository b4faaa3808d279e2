"""Settings. The broker is LTQ_BROKER_URL, else redis://localhost:6379."""

import os
from pathlib import Path

import django

BASE_DIR = Path(__file__).parent.parent
HAS_TASKS = django.VERSION >= (6, 0)

ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", BASE_DIR / "project.db"),
    }
}
DEBUG = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "ltq.contrib.django",  # before the admin, which then shows the link to the dashboard
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "orders",
]
LTQ_DASHBOARD_URL = "/ltq/"  # where config/asgi.py has it
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "config.urls"
SECRET_KEY = os.environ.get("SECRET_KEY", "only for this example")
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True

if HAS_TASKS:
    INSTALLED_APPS.append("letters")
    TASKS = {
        "default": {
            "BACKEND": "ltq.contrib.django.LtqBackend",
            "QUEUES": ["default", "letters"],
            "OPTIONS": {"result_ttl": 24 * 3600},
        }
    }
