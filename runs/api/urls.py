"""URLs of the API."""

from django.urls import path, re_path

from runs.api import views

app_name = "api"
urlpatterns = [
    path("flows", views.flows_endpoint, name="flows"),
    path("flows/<int:flow_id>", views.flow_endpoint, name="flow"),
    path("flows/<int:flow_id>/runs", views.flow_runs_endpoint, name="flow_runs"),
    path("runs/<int:run_id>", views.run_endpoint, name="run"),
    path("runs/<int:run_id>/tasks", views.tasks_endpoint, name="tasks"),
    path("runs/<int:run_id>/cancel", views.cancel_endpoint, name="cancel"),
    re_path("", views.no_endpoint, name="nothing"),  # programs are told in JSON that an address is not there
]
