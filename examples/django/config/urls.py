"""The URLs of the project."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("orders/", include("orders.urls")),
]
if settings.HAS_TASKS:
    urlpatterns.append(path("letters/", include("letters.urls")))
