"""The URLs of the app."""

from django.urls import path

from orders.views import order, show, total

urlpatterns = [
    path("", order),
    path("<int:order_id>/<str:task_id>", show),
    path("total", total),
]
