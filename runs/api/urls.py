"""URLs of the API."""

from django.urls import path, re_path

from runs.api import views

app_name = "api"
urlpatterns = [
    path("flows", views.flows_endpoint, name="flows"),
    path("flows/<id:flow_id>", views.flow_endpoint, name="flow"),
    path("flows/<id:flow_id>/runs", views.flow_runs_endpoint, name="flow_runs"),
    path("runs/<id:run_id>", views.run_endpoint, name="run"),
    path("runs/<id:run_id>/tasks", views.tasks_endpoint, name="tasks"),
    path("runs/<id:run_id>/cancel", views.cancel_endpoint, name="cancel"),
    re_path("", views.no_endpoint, name="nothing"),  # programs are told in JSON that an address is not there
]
