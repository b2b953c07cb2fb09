"""URLs of the site."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from dexsite import views
from dexsite.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("", views.home, name="home"),
    path("environment/", views.switch_environment, name="switch-environment"),
    path("search/", views.search, name="search"),
    path("runs/", RedirectView.as_view(pattern_name="admin:runs_run_changelist", query_string=True), name="runs"),
    path("", include("nodes.urls")),
    path("", include("runs.urls")),
    path("admin/", admin.site.urls),
]
