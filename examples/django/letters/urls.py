"""The URLs of the app."""

from django.urls import path

from letters.views import send, send_now, show

urlpatterns = [path("", send), path("now", send_now), path("<str:result_id>", show)]
