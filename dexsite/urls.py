"""URLs of the site."""

from django.contrib import admin
from django.urls import include, path

from dexsite.pages import views
from dexsite.pages.health import healthz, metrics, readyz
from dexsite.pages.status import status
from runs.api.pushes import pushed
from runs.pages.run_list import views as run_list

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("", views.home, name="home"),
    path("environment/", views.switch_environment, name="switch-environment"),
    path("status/", status, name="status"),
    path("search/", views.search, name="search"),
    path("runs/", run_list.runs, name="runs"),
    path("hooks/git/<id:project_id>/", pushed, name="pushed"),
    path("api/", include("runs.api.urls")),
    path("", include("flows.urls")),
    path("", include("nodes.urls")),
    path("", include("runs.urls")),
    path("admin/", admin.site.urls),
]
