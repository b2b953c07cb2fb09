"""URLs of the site."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from dexsite.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
]
